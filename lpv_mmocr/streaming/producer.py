"""Processes that fill a folder with chunks while training goes on."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import cv2

from ..rendering.processes import single_threaded_opencv, worker_context
from .chunk import Chunk, chunk_numbers, write_chunk

RECIPE_FILE = "recipe.json"
_WAIT_SECONDS = 0.2


class ChunkProducer:
    """Makes chunk after chunk in processes of its own, until it is stopped.

    What chunk a number stands for does not depend on the number of processes. A later producer
    goes on behind the highest number in the folder. Where as many chunks wait as ``max_waiting``,
    the processes rest; whoever uses the chunks deletes them. They end with the process that
    started them, however it ends.

    Args:
        folder: Where chunks go; it is made if needed.
        make: Makes the chunk of a number; called in the processes.
        recipe: All that the chunks depend on, as JSON data. A folder of another recipe is refused.
        workers: Number of processes.
        max_waiting: Most chunks in the folder.

    Raises:
        FileExistsError: If the folder holds chunks of another recipe.
        ValueError: If a number is not positive.
    """

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
        self._claim(json.loads(json.dumps(recipe)))

    def start(self) -> None:
        """Start the processes."""
        context = worker_context()
        self._stop = context.Event()
        first = max(chunk_numbers(self.folder), default=-1) + 1
        with single_threaded_opencv():
            for worker in range(self._workers):
                process = context.Process(target=self._run, args=(first + worker,), daemon=True)
                process.start()
                self._processes.append(process)

    def check(self) -> None:
        """See whether all processes are at work.

        Raises:
            ChildProcessError: If one has ended; its own error is in the output.
        """
        ended = [process.exitcode for process in self._processes if process.exitcode is not None]
        if ended:
            raise ChildProcessError(
                f"{len(ended)} of {self._workers} processes that make pictures for {self.folder} "
                f"ended (status {ended[0]}), perhaps for lack of memory or a full disk; see the "
                "output above. The same command with --resume goes on"
            )

    def stop(self) -> None:
        """End the processes behind the chunks that they are at."""
        if not self._processes:
            return
        self._stop.set()
        for process in self._processes:
            process.join(timeout=30)
            if process.is_alive():
                process.terminate()
                process.join()
        self._processes.clear()

    def _claim(self, recipe: dict) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / RECIPE_FILE
        if file.is_file():
            found = json.loads(file.read_text(encoding="utf-8"))
            if found != recipe:
                differing = sorted(
                    key for key in {*found, *recipe} if found.get(key) != recipe.get(key)
                )
                raise FileExistsError(
                    f"{self.folder} holds pictures made with other settings "
                    f"({', '.join(differing)}): delete it, or choose another folder"
                )
        elif chunk_numbers(self.folder):
            raise FileExistsError(f"{self.folder} holds chunks without {RECIPE_FILE}: delete it")
        else:
            file.write_text(json.dumps(recipe, indent=1), encoding="utf-8")

    def _run(self, first: int) -> None:
        cv2.setNumThreads(1)
        parent, number = os.getppid(), first
        while not self._stop.is_set() and os.getppid() == parent:
            if len(chunk_numbers(self.folder)) >= self._max_waiting:
                time.sleep(_WAIT_SECONDS)
                continue
            write_chunk(self.folder, number, self._make(number))
            number += self._workers
