"""The checkpoint that ``--resume`` finds."""

from __future__ import annotations

import os
from pathlib import Path

from lpv_mmocr.engine import find_last_complete_checkpoint

import pytest
import torch
from mmengine.runner.checkpoint import find_latest_checkpoint


def checkpoint(path: Path, age: int = 0, written: str | None = None, **missing) -> Path:
    """Write a checkpoint.

    Args:
        path: Where to.
        age: Seconds by which its time stamp is in the past.
        written: What it says itself of when it was written.
        **missing: Keys that it is without.
    """
    meta = {} if written is None else dict(time=written)
    content = dict(meta=meta, state_dict={}, optimizer={}, message_hub={})
    torch.save({key: value for key, value in content.items() if key not in missing}, path)
    os.utime(path, (2_000_000_000 - age,) * 2)
    return path


@pytest.fixture
def said(monkeypatch):
    lines = []
    monkeypatch.setattr(
        "lpv_mmocr.engine.checkpoint_search.print_log", lambda text, **_: lines.append(text)
    )
    return lines


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


def test_ignored_checkpoints_are_named(tmp_path, said):
    checkpoint(tmp_path / "iter_35.pth", optimizer=None)
    (tmp_path / "iter_30.pth").write_bytes(b"PK\x03\x04 and then nothing")
    (tmp_path / "iter_40.pth.0a1b2c3d.partial").write_bytes(b"PK")
    assert find_last_complete_checkpoint(str(tmp_path)) is None
    text = "\n".join(said)
    assert "iter_35.pth is without optimizer" in text
    assert "iter_30.pth cannot be read; it is damaged" in text
    assert "iter_40.pth.0a1b2c3d.partial was being written when the run ended" in text


def test_named_checkpoint_counts_after_copying(tmp_path, said):
    """As ``cp -r`` leaves a work folder behind: with time stamps in any order."""
    older = checkpoint(tmp_path / "iter_8.pth", age=0)
    named = checkpoint(tmp_path / "iter_12.pth", age=9)
    (tmp_path / "last_checkpoint").write_text("/where/it/was/iter_12.pth")
    assert find_last_complete_checkpoint(str(tmp_path)) == str(named)
    assert len(said) == 1
    assert f"Resuming from {named}, although {older} has a newer time stamp" in said[0]


@pytest.mark.parametrize("pointer", ["iter_8.pth", None])
@pytest.mark.parametrize("written", ["20260101_110000", "20260101_100000", None])
def test_later_checkpoint_than_the_named_one_counts(tmp_path, said, pointer, written):
    """The run has ended between the two; or nothing is named."""
    checkpoint(tmp_path / "iter_8.pth", age=9, written="20260101_100000")
    later = checkpoint(tmp_path / "iter_12.pth", age=5, written=written)
    if pointer:
        (tmp_path / "last_checkpoint").write_text(str(tmp_path / pointer))
    assert find_last_complete_checkpoint(str(tmp_path)) == str(later)
    assert said == []


def test_earlier_run_in_the_same_folder_does_not_count(tmp_path, said):
    """The run was started afresh, in a folder where another one had got further."""
    left = checkpoint(tmp_path / "iter_100.pth", age=0, written="20260101_100000")
    checkpoint(tmp_path / "iter_10.pth", age=9, written="20260102_100000")
    named = checkpoint(tmp_path / "iter_20.pth", age=5, written="20260102_110000")
    (tmp_path / "last_checkpoint").write_text(str(named))
    assert find_last_complete_checkpoint(str(tmp_path)) == str(named)
    assert said == [
        f"Not resumed from: {left} was written before {named}; an earlier run has left it"
    ]


@pytest.mark.parametrize("damaged", [True, False])
def test_next_before_the_named_one_counts(tmp_path, said, damaged):
    before = checkpoint(tmp_path / "iter_8.pth", age=9)
    checkpoint(tmp_path / "iter_4.pth", age=3)
    if damaged:
        (tmp_path / "iter_12.pth").write_bytes(b"PK\x03\x04 and then nothing")
    (tmp_path / "last_checkpoint").write_text(str(tmp_path / "iter_12.pth"))
    assert find_last_complete_checkpoint(str(tmp_path)) == str(before)
    assert any("iter_12.pth cannot be read" in line for line in said) is damaged


@pytest.mark.parametrize("kind", ["iter", "epoch"])
def test_epochs_and_iterations_are_not_compared(tmp_path, kind):
    files = dict(
        iter=checkpoint(tmp_path / "iter_4000.pth", age=5 if kind == "iter" else 9),
        epoch=checkpoint(tmp_path / "epoch_3.pth", age=7),
    )
    assert find_last_complete_checkpoint(str(tmp_path)) == str(files[kind])
    (other,) = set(files) - {kind}
    (tmp_path / "last_checkpoint").write_text(str(files[other]))
    assert find_last_complete_checkpoint(str(tmp_path)) == str(files[other])
    checkpoint(files[other], optimizer=None)
    assert find_last_complete_checkpoint(str(tmp_path)) == str(files[kind])


def test_half_written_file_does_not_say_what_is_counted(tmp_path):
    checkpoint(tmp_path / "iter_4000.pth", age=9)
    epoch = checkpoint(tmp_path / "epoch_3.pth", age=5)
    checkpoint(tmp_path / "iter_5000.pth.partial")
    assert find_last_complete_checkpoint(str(tmp_path)) == str(epoch)


def test_half_written_file_does_not_hide_the_whole_one_of_its_name(tmp_path, said):
    whole = checkpoint(tmp_path / "iter_8.pth")
    (tmp_path / "iter_8.pth.partial").write_bytes(b"PK")
    assert find_last_complete_checkpoint(str(tmp_path)) == str(whole)
    assert len(said) == 1
    assert "iter_8.pth.partial was being written when the run ended" in said[0]


def test_best_checkpoint_does_not_count_even_if_it_is_named(tmp_path):
    best = checkpoint(tmp_path / "best_score_iter_12.pth", optimizer=None)
    last = checkpoint(tmp_path / "iter_8.pth", age=9)
    (tmp_path / "last_checkpoint").write_text(str(best))
    assert find_last_complete_checkpoint(str(tmp_path)) == str(last)


def test_checkpoints_elsewhere_are_found_through_last_checkpoint(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "last_checkpoint").write_text(str(tmp_path / "out" / "iter_5.pth"))
    newer = checkpoint(tmp_path / "out" / "iter_10.pth")
    assert find_last_complete_checkpoint(str(tmp_path / "work")) == str(newer)


def test_a_relative_work_folder_is_searched_once(tmp_path, said, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkpoint(tmp_path / "iter_5.pth", optimizer=None)
    (tmp_path / "last_checkpoint").write_text(str(tmp_path / "iter_5.pth"))
    assert find_last_complete_checkpoint(".") is None
    assert len(said) == 1


def test_names_that_count_nothing_in_a_copied_folder(tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    named = checkpoint(tmp_path / "old" / "step_4.pth")
    (tmp_path / "new" / "last_checkpoint").write_text(str(named))
    assert find_last_complete_checkpoint(str(tmp_path / "new")) == str(named)
    copy = checkpoint(tmp_path / "new" / "step_4.pth")
    assert find_last_complete_checkpoint(str(tmp_path / "new")) == str(copy)
    named.unlink()
    assert find_last_complete_checkpoint(str(tmp_path / "new")) == str(copy)


def test_names_that_count_nothing(tmp_path, said):
    named = checkpoint(tmp_path / "step_4.pth")
    (tmp_path / "last_checkpoint").write_text(str(named))
    assert find_last_complete_checkpoint(str(tmp_path)) == str(named)
    assert not said
    checkpoint(named, optimizer=None)
    assert find_last_complete_checkpoint(str(tmp_path)) is None
    assert "step_4.pth is without optimizer" in said[0]


def test_an_empty_pointer_names_nothing(tmp_path, monkeypatch):
    """It does not stand for the current folder, with the checkpoints of another run."""
    work_dir = tmp_path / "run"
    work_dir.mkdir()
    (work_dir / "last_checkpoint").write_text("")
    checkpoint(tmp_path / "iter_10.pth")
    monkeypatch.chdir(tmp_path)
    assert find_last_complete_checkpoint(str(work_dir)) is None


def test_nothing_to_resume_from(tmp_path):
    assert find_last_complete_checkpoint(str(tmp_path)) is None
    assert find_last_complete_checkpoint(str(tmp_path / "missing")) is None


def test_runner_looks_with_it():
    from mmengine.runner import runner

    assert runner.find_latest_checkpoint is find_last_complete_checkpoint
    assert find_latest_checkpoint is find_last_complete_checkpoint
