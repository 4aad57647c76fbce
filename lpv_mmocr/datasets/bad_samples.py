"""Counting and naming the samples that cannot be used."""

from __future__ import annotations

import logging

import torch
from mmengine.logging import print_log
from torch.utils.data import get_worker_info

_WORKERS = 256  # workers that count on their own; further ones share these counters
_REMEMBERED = 1024  # samples that all workers together remember as named


class BadSampleError(RuntimeError):
    """A sample that cannot be used.

    Args:
        sample_key: Name of the sample, as in ``MJ/MJ_train:image-000000012``.
        reason: What is wrong with it.
        text: As much of its label as can be read.
    """

    def __init__(self, sample_key: str, reason: str, text: str = "") -> None:
        super().__init__(f"{sample_key}: {reason}")
        self.sample_key = sample_key
        self.reason = reason
        self.text = text

    def __reduce__(self) -> tuple:
        """Pickle by arguments, so that worker processes can pass the error on."""
        return type(self), (self.sample_key, self.reason, self.text)


class BadSampleLog:
    """Counts bad samples over a data set's worker processes; the log names each of them once.

    The counters lie in shared memory. Each worker adds to its own, so none is lost without a lock.
    """

    def __init__(self) -> None:
        shared = torch.full((_WORKERS + _REMEMBERED,), -1, dtype=torch.int64)
        shared[:_WORKERS] = 0
        self._shared = shared.share_memory_()
        self._named: set[int] = set()

    def __deepcopy__(self, memo: dict) -> BadSampleLog:
        """A copied data set counts for itself."""
        return type(self)()

    @property
    def count(self) -> int:
        """How often a bad sample was met, in all workers together."""
        return int(self._shared[:_WORKERS].sum())

    def report(self, position: int, error: BadSampleError, consequence: str) -> None:
        """Count a bad sample, and name it in the log if that has not been done.

        Args:
            position: Where the sample stands in the data set.
            error: What is wrong with it.
            consequence: What the data set does about it, for the log.
        """
        worker = get_worker_info()
        self._shared[0 if worker is None else 1 + worker.id % (_WORKERS - 1)] += 1
        if self._was_named(position):
            return
        print_log(
            f"Bad sample {error}. It {consequence} ({self.count} bad so far).",
            logger="current",
            level=logging.WARNING,
        )

    def _was_named(self, position: int) -> bool:
        remembered = self._shared[_WORKERS:]
        if position in self._named or bool((remembered == position).any()):
            return True
        self._named.add(position)
        free = (remembered == -1).nonzero()
        if len(free):
            remembered[free[0]] = position
        return False
