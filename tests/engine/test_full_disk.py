"""Trainings on a full disk; what only the first of several processes notices, all of them obey."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.visualization import vis_backend
from training_cases import train, training_config

PROGRAM = Path(__file__).with_name("full_disk_cases.py")


def outcomes(numbers: Path, work_dir: Path) -> list[dict]:
    """Train with two processes, and say how it went in each."""
    paths = [PROGRAM.parent, PROGRAM.parents[1], PROGRAM.parents[2], os.environ.get("PYTHONPATH")]
    environment = dict(
        os.environ, OMP_NUM_THREADS="1", PYTHONPATH=os.pathsep.join(str(p) for p in paths if p)
    )
    result = subprocess.run(
        [
            *[sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"],
            *[str(PROGRAM), str(numbers), str(work_dir)],
        ],
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    said = result.stdout + result.stderr
    assert said.count("Training goes on") == 1  # by one process only
    return [json.loads((work_dir / f"{rank}.json").read_text()) for rank in range(2)]


@pytest.mark.slow
def test_processes_go_on_and_end_together(numbers, tmp_path):
    first, second = outcomes(numbers, tmp_path)
    assert first == second
    assert first["iterations"] == 6  # on after the first failure, to an end at the second
    assert "iter_6.pth could not be written" in first["error"]
    assert "No space left" in first["error"]
    assert first["best_score"] == 0.5
    assert first["last_checkpoint"] == str(tmp_path / "iter_4.pth")
    names = sorted(path.name for path in tmp_path.glob("*.pth"))
    assert names == ["best_score_iter_2.pth", "iter_4.pth"]


def test_training_goes_on_without_curves(numbers, tmp_path, monkeypatch):
    def refuse(path, *args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(vis_backend, "open", refuse, raising=False)
    config = training_config(
        numbers, tmp_path, train_cfg__max_iters=4, visualizer__type="AttentionTextRecogVisualizer"
    )
    _, seen = train(config)
    assert len(seen) == 4
    assert (tmp_path / "iter_4.pth").is_file()
    assert not list(tmp_path.rglob("scalars.json"))
