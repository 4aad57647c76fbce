"""The training that tests kill: ``python kill_cases.py DATA WORK_DIR RECORD WORKERS``.

Started by ``torchrun`` it trains with several processes, and each has a record of its own.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from lpv_mmocr.engine import distributed

import torch
from mmengine.runner import Runner
from training_cases import training_config

MAX_ITERS = 40


def main(data: str, work_dir: str, record: str, workers: str) -> None:
    torch.set_num_threads(1)
    rank = os.environ.get("RANK")
    config = training_config(
        Path(data),
        Path(work_dir),
        experiment_name="killed",
        resume=True,
        train_cfg=dict(type="ResumableIterBasedTrainLoop", max_iters=MAX_ITERS, val_interval=7),
        train_dataloader__num_workers=int(workers),
        custom_hooks=[
            dict(type="BatchRecorderHook", out_file=record + (rank or "")),
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
    distributed.set_launcher(config, "none" if rank is None else "pytorch")
    Runner.from_cfg(config).train()
    distributed.leave()


if __name__ == "__main__":
    distributed.run(lambda: main(*sys.argv[1:]))
