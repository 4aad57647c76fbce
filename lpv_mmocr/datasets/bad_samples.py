"""Counting and logging of samples that cannot be used."""

from __future__ import annotations

import logging

import torch
from mmengine.logging import print_log
from torch.utils.data import get_worker_info

_WORKERS = 256  # counters: the main process, then the workers; further workers share these
_REMEMBERED = 1024  # logged samples that all processes share; further ones are kept per process


class BadSampleError(RuntimeError):
    """Raised when a sample cannot be used.

    Args:
        sample_key: Name of the sample, such as ``MJ/MJ_train:image-000000012``.
        reason: Reason why it cannot be used.
        text: Readable part of its label.
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
    """Counter of bad samples across a dataset's worker processes that logs each of them once.

    The counters are in shared memory. Each worker adds to its own, so no lock is needed. After
    ``_REMEMBERED`` logged samples, every process logs each further one once.
    """

    def __init__(self) -> None:
        shared = torch.full((_WORKERS + _REMEMBERED,), -1, dtype=torch.int64)
        shared[:_WORKERS] = 0
        self._shared = shared.share_memory_()
        self._named: set[int] = set()

    def __deepcopy__(self, memo: dict) -> BadSampleLog:
        """Return a new log, since a copied dataset counts separately."""
        return type(self)()

    @property
    def count(self) -> int:
        """Number of times that a bad sample was encountered, in all processes together."""
        return int(self._shared[:_WORKERS].sum())

    def report(self, position: int, error: BadSampleError, consequence: str) -> None:
        """Count a bad sample, and log it unless it has been logged before.

        Args:
            position: Position of the sample in the dataset.
            error: Error that says what is wrong with it.
            consequence: Consequence for the sample, e.g. ``is replaced by another``, for the log.
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
