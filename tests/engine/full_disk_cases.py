"""Training run whose disk is full.

Each process writes its outcome to ``RANK.json`` in the work folder. The best checkpoint of
iteration 4 and the checkpoint of iteration 6 cannot be written, which only process 0 notices; two
failures in a row end the run.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from lpv_mmocr import atomic_files
from lpv_mmocr.engine import CheckpointError, distributed

import torch
from checkpoint_cases import FailingDisk, scripted
from mmengine.runner import Runner
from training_cases import recorded


def train(data: Path, work_dir: Path) -> None:
    """Train until the disk has been full twice."""
    distributed.run(lambda: _train(data, work_dir))


def _train(data: Path, work_dir: Path) -> None:
    torch.set_num_threads(1)
    scores = [0.5, 0.7, 0.8, 0.6]
    config = scripted(data, work_dir, scores, max_failures=2, max_keep_ckpts=1)
    config.experiment_name = "full_disk"
    # A process that waits for another in vain fails instead of hanging.
    config.env_cfg = dict(dist_cfg=dict(timeout=180))
    distributed.set_launcher(config, "pytorch")
    atomic_files.os = FailingDisk(lambda name: name.startswith(("best_score_iter_4", "iter_6")))
    runner = Runner.from_cfg(config)
    error = None
    try:
        runner.train()
    except CheckpointError as raised:
        error = str(raised)
    outcome = dict(
        iterations=len(recorded(runner)),
        error=error,
        best_score=runner.message_hub.get_info("best_score"),
        last_checkpoint=runner.message_hub.get_info("last_ckpt"),
    )
    report = work_dir / f"{os.environ['RANK']}.json"
    report.write_text(json.dumps(outcome), encoding="utf-8")
    distributed.leave()
