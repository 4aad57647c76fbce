"""Processes that fill a folder with chunks during training."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import cv2

from ..atomic_files import PARTIAL_SUFFIX
from ..file_lock import try_lock
from ..rendering.processes import single_threaded_opencv, worker_context
from ..rendering.recipe import differing_settings, write_recipe
from .chunk import Chunk, chunk_numbers, write_chunk

RECIPE_FILE = "recipe.json"
LOCK_FILE = "lock"
_WAIT_SECONDS = 0.2


class ChunkProducer:
    """Producer of consecutive chunks in separate processes, until it is stopped.

    The content of a chunk depends on its number, not on the number of processes. A later producer
    continues after the highest number in the folder. While ``max_waiting`` chunks are in the
    folder, the processes pause; the consumer of the chunks deletes them. The processes end on
    :meth:`stop`, or with the process that started them, however it ends; signals that a terminal
    or a scheduler sends to all processes do not end them, so that training can finish its
    iteration. They run at idle priority, or at nice 19 if that is not available.

    A chunk that cannot be made is left out, since one image among millions should not end a
    training run; a process that fails twice in a row ends with the error.

    A folder belongs to one process at a time.

    Args:
        folder: Folder for the chunks; created if needed.
        make: Callback that makes the chunk with a given number; called in the processes.
        recipe: Everything that the chunks depend on, as JSON data. A folder with another recipe is
            rejected.
        workers: Number of processes.
        max_waiting: Number of chunks in the folder from which no further one is started.

    Raises:
        FileExistsError: If another process uses the folder, or it holds chunks of another recipe.
        OSError: If the folder cannot be written to.
        ValueError: If a number is not positive, or the folder's recipe is damaged.
    """

    seconds_to_end = 30.0

    def __init__(
        self,
        folder: str | Path,
        make: Callable[[int], Chunk],
        *,
        recipe: dict,
        workers: int,
        max_waiting: int,
    ) -> None:
        for name, value in (("workers", workers), ("max_waiting", max_waiting)):
            if value < 1:
                raise ValueError(f"{name} must be positive, got {value}")
        self.folder = Path(folder)
        self._make = make
        self._workers = workers
        self._max_waiting = max_waiting
        self._processes = []
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock()
        for partial in self.folder.glob(f"*{PARTIAL_SUFFIX}"):
            partial.unlink(missing_ok=True)
        self._claim(recipe)

    def start(self) -> None:
        """Start the processes."""
        context = worker_context()
        self._stop = context.Event()
        first = max(chunk_numbers(self.folder), default=-1) + 1
        with single_threaded_opencv():
            for worker in range(self._workers):
                process = context.Process(
                    target=self._run, args=(first + worker, os.getpid()), daemon=True
                )
                process.start()
                self._processes.append(process)

    def check(self) -> None:
        """Check that all processes are running.

        Raises:
            ChildProcessError: If one has ended; its own error is in the output.
        """
        ended = [process.exitcode for process in self._processes if process.exitcode is not None]
        if ended:
            raise ChildProcessError(
                f"{len(ended)} of {self._workers} processes that make images for {self.folder} "
                f"ended (status {ended[0]}), perhaps for lack of memory or disk space; see the "
                "output above. To continue, resume this run (--resume of tools/train.py)"
            )

    def stop(self) -> None:
        """Stop the processes after their current chunks, and release the folder.

        Processes that still run after ``seconds_to_end`` are killed.
        """
        if self._processes:
            self._stop.set()
        end = time.monotonic() + self.seconds_to_end
        for process in self._processes:
            process.join(timeout=max(0.0, end - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()
        self._processes.clear()
        self._lock_file.close()

    def _lock(self) -> None:
        self._lock_file = (self.folder / LOCK_FILE).open("w")
        if not try_lock(self._lock_file):
            raise FileExistsError(
                f"another training run fills {self.folder}: wait for its end, or choose another "
                "folder"
            )

    def _claim(self, recipe: dict) -> None:
        file = self.folder / RECIPE_FILE
        if file.is_file():
            differing = differing_settings(file, recipe)
            if differing:
                raise FileExistsError(
                    f"{self.folder} holds images made with other settings "
                    f"({', '.join(differing)}): delete it, or choose another folder"
                )
        elif chunk_numbers(self.folder):
            raise FileExistsError(f"{self.folder} holds chunks without {RECIPE_FILE}: delete it")
        else:
            write_recipe(file, recipe)

    def _run(self, number: int, parent: int) -> None:
        for inherited in (signal.SIGINT, signal.SIGTERM):
            signal.signal(inherited, signal.SIG_IGN)
        cv2.setNumThreads(1)
        _lower_priority()
        failed = False
        while not self._stop.is_set() and os.getppid() == parent:
            if len(chunk_numbers(self.folder)) >= self._max_waiting:
                time.sleep(_WAIT_SECONDS)
                continue
            try:
                chunk = self._make(number)
            except Exception:
                if failed:
                    raise
                failed = True
                traceback.print_exc()
                print(f"chunk {number} of {self.folder} is left out (see above)", file=sys.stderr)
            else:
                failed = False
                write_chunk(self.folder, number, chunk)
            number += self._workers


def _lower_priority() -> None:
    """Lower the priority of this process, so that training gets the processors.

    Training on CPU cores divides its work evenly among threads and waits for the last one, so a
    process that shares a core with one of them costs far more than its share of that core.
    """
    try:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    except (AttributeError, OSError):  # not Linux, or a container forbids it
        with suppress(OSError):
            os.nice(19)
