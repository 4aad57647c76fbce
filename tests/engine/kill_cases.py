"""Training run that tests kill; each of several processes writes its own record."""

from __future__ import annotations

import os
from pathlib import Path

from lpv_mmocr.engine import distributed

import torch
from mmengine.runner import Runner
from training_cases import training_config

MAX_ITERS = 60


def train(data: Path, work_dir: Path, record: Path, workers: int) -> None:
    """Train for 40 iterations, or for the remaining ones when resuming."""
    distributed.run(lambda: _train(data, work_dir, record, workers))


def _train(data: Path, work_dir: Path, record: Path, workers: int) -> None:
    torch.set_num_threads(1)
    rank = os.environ.get("RANK", "")
    config = training_config(
        data,
        work_dir,
        experiment_name="killed",
        resume=True,
        train_cfg=dict(type="ResumableIterBasedTrainLoop", max_iters=MAX_ITERS, val_interval=7),
        train_dataloader__num_workers=workers,
        custom_hooks=[
            dict(type="BatchRecorderHook", out_file=f"{record}{rank}"),
            dict(type="StopOnSignalHook"),
            dict(type="NonFiniteGuardHook"),
        ],
        default_hooks__checkpoint=dict(
            type="AtomicCheckpointHook",
            interval=2,
            max_keep_ckpts=2,
            save_best="recog/word_acc_ignore_case_symbol",
            rule="greater",
        ),
    )
    distributed.set_launcher(config, "pytorch" if rank else "none")
    Runner.from_cfg(config).train()
    distributed.leave()
