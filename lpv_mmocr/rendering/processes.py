"""Worker processes that work with OpenCV's threads and never outlive their parent."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.context import BaseContext

import cv2


def worker_context() -> BaseContext:
    """Return the context for starting workers: fork where available.

    Forked workers share the fonts and textures that are already loaded.
    """
    methods = multiprocessing.get_all_start_methods()
    return multiprocessing.get_context("fork" if "fork" in methods else "spawn")


def worker_pool(
    workers: int, initializer: Callable[..., None] | None = None, initargs: tuple = ()
) -> ProcessPoolExecutor:
    """Create a pool whose processes end when their parent does, even if it is killed.

    Args:
        workers: Number of processes.
        initializer: Callable that runs once in every process.
        initargs: Its arguments.
    """
    return ProcessPoolExecutor(
        workers, worker_context(), initializer=_start, initargs=(initializer, initargs)
    )


def _start(initializer: Callable[..., None] | None, initargs: tuple) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # The parent's handler is not for workers.
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if initializer is not None:
        initializer(*initargs)


def _end_with_parent() -> None:
    # A worker waits for work on a pipe whose other end it also holds, so it would not notice that
    # no process is left to send any.
    multiprocessing.parent_process().join()
    os._exit(1)


@contextmanager
def single_threaded_opencv() -> Iterator[None]:
    """Stop OpenCV's threads while workers start, and allow them again afterwards.

    A forked process inherits OpenCV's record of its threads, but not the threads; the first call
    that sets their number then waits forever for them to end. So they must end before the fork.
    With one process per core, they would have nothing to do anyway.
    """
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)
