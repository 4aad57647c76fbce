"""Worker processes beside OpenCV's threads."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import BaseContext

import cv2


def worker_context() -> BaseContext:
    """Returns how to start workers: by fork where there is one.

    Forked workers share the fonts and textures that are loaded already.
    """
    methods = multiprocessing.get_all_start_methods()
    return multiprocessing.get_context("fork" if "fork" in methods else "spawn")


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
