"""Worker processes: beside OpenCV's threads, and never longer than their parent."""

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
    """Returns how to start workers: by fork where there is one.

    Forked workers share the fonts and textures that are loaded already.
    """
    methods = multiprocessing.get_all_start_methods()
    return multiprocessing.get_context("fork" if "fork" in methods else "spawn")


def worker_pool(
    workers: int, initializer: Callable[..., None] | None = None, initargs: tuple = ()
) -> ProcessPoolExecutor:
    """Makes a pool whose processes end when their parent does, even if that was killed.

    Args:
        workers: Number of processes.
        initializer: Called once in every process.
        initargs: Its arguments.
    """
    return ProcessPoolExecutor(
        workers, worker_context(), initializer=_start, initargs=(initializer, initargs)
    )


def _start(initializer: Callable[..., None] | None, initargs: tuple) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # What the parent does then is not for workers.
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if initializer is not None:
        initializer(*initargs)


def _end_with_parent() -> None:
    # A worker waits for work on a pipe of which it holds the other end, too, so it would not
    # notice that nobody is left to send any.
    multiprocessing.parent_process().join()
    os._exit(1)


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Lets SIGTERM end a block as Ctrl-C does: with KeyboardInterrupt, so that it can tidy up."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def single_threaded_opencv() -> Iterator[None]:
    """Ends OpenCV's threads while workers start, and allows them again afterwards.

    A forked process inherits OpenCV's record of its threads, but not the threads; the first call
    that sets their number then waits for ever for them to end. So they have to end before the
    fork. One process per core also leaves them nothing to do.
    """
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)
