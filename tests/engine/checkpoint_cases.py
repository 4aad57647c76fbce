"""Helpers for tests of checkpoints: a simulated full disk and a metric with scripted scores."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmocr.registry import METRICS
from training_cases import training_config


class FailingDisk:
    """Replacement for ``os`` in ``atomic_files``: a disk that is full when data are synced to it.

    Args:
        may_fail: Predicate on the name of a file: whether the disk is full for it.
    """

    def __init__(self, may_fail=lambda path: True) -> None:
        self.may_fail = may_fail
        self.failed: list[str] = []

    def __getattr__(self, name: str):
        return getattr(os, name)

    def fsync(self, descriptor: int) -> None:
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        if os.path.isfile(path) and self.may_fail(os.path.basename(path)):
            self.failed.append(os.path.basename(path))
            raise OSError(errno.ENOSPC, "No space left on device")


@METRICS.register_module()
class ScriptedMetric(BaseMetric):
    """Metric that returns the next of the given scores at each validation."""

    def __init__(self, scores: list[float]) -> None:
        super().__init__()
        self.scores = iter(scores)

    def process(self, data_batch, data_samples) -> None:
        self.results.append(0)

    def compute_metrics(self, results) -> dict[str, float]:
        return dict(score=next(self.scores))


def scripted(numbers: Path, work_dir: Path, scores: list[float], **hook) -> Config:
    return training_config(
        numbers,
        work_dir,
        train_cfg__max_iters=2 * len(scores),
        train_cfg__val_interval=2,
        val_evaluator=dict(type="ScriptedMetric", scores=scores, _delete_=True),
        default_hooks__checkpoint=dict(
            type="AtomicCheckpointHook",
            **dict(dict(interval=2, save_best="score", rule="greater"), **hook),
        ),
    )


def names(folder: Path, pattern: str = "*.pth*") -> list[str]:
    return sorted(path.name for path in folder.glob(pattern))
