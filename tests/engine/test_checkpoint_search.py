"""The checkpoint that ``--resume`` finds."""

from __future__ import annotations

import os
from pathlib import Path

from lpv_mmocr.engine import find_last_complete_checkpoint

import torch
from mmengine.runner.checkpoint import find_latest_checkpoint


def checkpoint(path: Path, age: int = 0, **missing) -> Path:
    content = dict(meta={}, state_dict={}, optimizer={}, message_hub={})
    torch.save({key: value for key, value in content.items() if key not in missing}, path)
    os.utime(path, (2_000_000_000 - age,) * 2)
    return path


def test_newest_whole_checkpoint_counts(tmp_path):
    whole = checkpoint(tmp_path / "iter_20.pth", age=3)
    checkpoint(tmp_path / "iter_10.pth", age=4)
    checkpoint(tmp_path / "best_acc_iter_25.pth", age=0, optimizer=None)
    cut = checkpoint(tmp_path / "iter_30.pth", age=2)
    cut.write_bytes(cut.read_bytes()[:-100])
    os.utime(cut, (1_999_999_998,) * 2)
    checkpoint(tmp_path / "iter_35.pth", age=1, optimizer=None)
    (tmp_path / "iter_40.pth.partial").write_bytes(b"PK")
    (tmp_path / "last_checkpoint").write_text(str(tmp_path / "iter_10.pth"))
    assert find_last_complete_checkpoint(str(tmp_path)) == str(whole)


def test_ignored_checkpoints_are_named(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(
        "lpv_mmocr.engine.checkpoint_search.print_log", lambda text, **_: said.append(text)
    )
    checkpoint(tmp_path / "iter_35.pth", optimizer=None)
    (tmp_path / "iter_30.pth").write_bytes(b"PK\x03\x04 and then nothing")
    (tmp_path / "iter_40.pth.partial").write_bytes(b"PK")
    assert find_last_complete_checkpoint(str(tmp_path)) is None
    text = "\n".join(said)
    assert "iter_35.pth is without optimizer" in text
    assert "iter_30.pth cannot be read; it is damaged" in text
    assert "iter_40.pth.partial was being written when the run ended" in text


def test_checkpoints_elsewhere_are_found_through_last_checkpoint(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "last_checkpoint").write_text(str(tmp_path / "out" / "iter_5.pth"))
    newer = checkpoint(tmp_path / "out" / "iter_10.pth")
    assert find_last_complete_checkpoint(str(tmp_path / "work")) == str(newer)


def test_nothing_to_resume_from(tmp_path):
    assert find_last_complete_checkpoint(str(tmp_path)) is None
    assert find_last_complete_checkpoint(str(tmp_path / "missing")) is None


def test_runner_looks_with_it():
    from mmengine.runner import runner

    assert runner.find_latest_checkpoint is find_last_complete_checkpoint
    assert find_latest_checkpoint is find_last_complete_checkpoint
