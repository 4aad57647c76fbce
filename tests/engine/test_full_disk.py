"""Tests of training on a full disk, in one process and in several that have to act together."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import full_disk_cases
import pytest
from forked_programs import Program
from mmengine.visualization import vis_backend
from training_cases import train, training_config


def outcomes(numbers: Path, work_dir: Path) -> list[dict]:
    """Train with two processes and return the outcome of each."""
    program = Program(full_disk_cases.train, numbers, work_dir, log=work_dir / "log", processes=2)
    program.finish()
    assert program.output().count("Training continues") == 1  # by one process only
    return [json.loads((work_dir / f"{rank}.json").read_text()) for rank in range(2)]


@pytest.mark.slow
def test_processes_continue_and_end_together(numbers, tmp_path):
    first, second = outcomes(numbers, tmp_path)
    assert first == second
    assert first["iterations"] == 6  # continues after the first failure, ends at the second
    assert "iter_6.pth could not be written" in first["error"]
    assert "No space left" in first["error"]
    assert first["best_score"] == 0.5
    assert first["last_checkpoint"] == str(tmp_path / "iter_4.pth")
    names = sorted(path.name for path in tmp_path.glob("*.pth"))
    assert names == ["best_score_iter_2.pth", "iter_4.pth"]


def test_training_continues_if_scalars_cannot_be_written(numbers, tmp_path, monkeypatch):
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
