"""Tests of finding the checkpoint that ``--resume`` continues from."""

from __future__ import annotations

import os
from pathlib import Path

from lpv_mmocr.engine import checkpoint_search, find_last_complete_checkpoint

import pytest
import torch
from mmengine.runner.checkpoint import find_latest_checkpoint


def checkpoint(path: Path, age: int = 0, written: str | None = None, **missing) -> Path:
    """Write a checkpoint.

    Args:
        path: Path of the file.
        age: Age of its time stamp in seconds.
        written: Time of writing stored in it; None to leave it out.
        **missing: Keys to leave out.
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


def test_newest_complete_checkpoint_is_found(tmp_path):
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


def test_named_checkpoint_is_found_in_a_copied_folder(tmp_path, said):
    """``cp -r`` leaves time stamps in any order."""
    older = checkpoint(tmp_path / "iter_8.pth", age=0)
    named = checkpoint(tmp_path / "iter_12.pth", age=9)
    (tmp_path / "last_checkpoint").write_text("/where/it/was/iter_12.pth")
    assert find_last_complete_checkpoint(str(tmp_path)) == str(named)
    assert len(said) == 1
    assert f"Resuming from {named}, although {older} has a newer time stamp" in said[0]


@pytest.mark.parametrize("pointer", ["iter_8.pth", None])
@pytest.mark.parametrize("written", ["20260101_110000", "20260101_100000", None])
def test_checkpoint_after_the_named_one_is_found(tmp_path, said, pointer, written):
    """The run ended before it could update ``last_checkpoint``, or there is no such file."""
    checkpoint(tmp_path / "iter_8.pth", age=9, written="20260101_100000")
    later = checkpoint(tmp_path / "iter_12.pth", age=5, written=written)
    if pointer:
        (tmp_path / "last_checkpoint").write_text(str(tmp_path / pointer))
    assert find_last_complete_checkpoint(str(tmp_path)) == str(later)
    assert said == []


def test_checkpoint_left_by_an_earlier_run_is_ignored(tmp_path, said):
    """The run was started from scratch in a folder where another one had got further."""
    left = checkpoint(tmp_path / "iter_100.pth", age=0, written="20260101_100000")
    checkpoint(tmp_path / "iter_10.pth", age=9, written="20260102_100000")
    named = checkpoint(tmp_path / "iter_20.pth", age=5, written="20260102_110000")
    (tmp_path / "last_checkpoint").write_text(str(named))
    assert find_last_complete_checkpoint(str(tmp_path)) == str(named)
    assert said == [
        f"Not resumed from: {left} was written before {named}; an earlier run has left it"
    ]


@pytest.mark.parametrize("damaged", [True, False])
def test_checkpoint_before_an_unusable_named_one_is_found(tmp_path, said, damaged):
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


def test_partial_file_does_not_determine_the_unit(tmp_path):
    checkpoint(tmp_path / "iter_4000.pth", age=9)
    epoch = checkpoint(tmp_path / "epoch_3.pth", age=5)
    checkpoint(tmp_path / "iter_5000.pth.partial")
    assert find_last_complete_checkpoint(str(tmp_path)) == str(epoch)


def test_partial_file_does_not_hide_the_complete_one(tmp_path, said):
    whole = checkpoint(tmp_path / "iter_8.pth")
    (tmp_path / "iter_8.pth.partial").write_bytes(b"PK")
    assert find_last_complete_checkpoint(str(tmp_path)) == str(whole)
    assert len(said) == 1
    assert "iter_8.pth.partial was being written when the run ended" in said[0]


def test_best_checkpoint_is_ignored_even_if_named(tmp_path):
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


def test_unnumbered_checkpoint_is_found_in_a_copied_folder(tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    named = checkpoint(tmp_path / "old" / "step_4.pth")
    (tmp_path / "new" / "last_checkpoint").write_text(str(named))
    assert find_last_complete_checkpoint(str(tmp_path / "new")) == str(named)
    copy = checkpoint(tmp_path / "new" / "step_4.pth")
    assert find_last_complete_checkpoint(str(tmp_path / "new")) == str(copy)
    named.unlink()
    assert find_last_complete_checkpoint(str(tmp_path / "new")) == str(copy)


def test_unnumbered_checkpoint_is_found_if_named(tmp_path, said):
    named = checkpoint(tmp_path / "step_4.pth")
    (tmp_path / "last_checkpoint").write_text(str(named))
    assert find_last_complete_checkpoint(str(tmp_path)) == str(named)
    assert not said
    checkpoint(named, optimizer=None)
    assert find_last_complete_checkpoint(str(tmp_path)) is None
    assert "step_4.pth is without optimizer" in said[0]


def test_empty_pointer_is_ignored(tmp_path, monkeypatch):
    """It must not stand for the current folder, which holds checkpoints of another run."""
    work_dir = tmp_path / "run"
    work_dir.mkdir()
    (work_dir / "last_checkpoint").write_text("")
    checkpoint(tmp_path / "iter_10.pth")
    monkeypatch.chdir(tmp_path)
    assert find_last_complete_checkpoint(str(work_dir)) is None


def test_folder_without_checkpoints_gives_none(tmp_path):
    assert find_last_complete_checkpoint(str(tmp_path)) is None
    assert find_last_complete_checkpoint(str(tmp_path / "missing")) is None


def test_runner_uses_this_search():
    from mmengine.runner import runner

    assert runner.find_latest_checkpoint is find_last_complete_checkpoint
    assert find_latest_checkpoint is find_last_complete_checkpoint


def test_damage_within_a_checkpoint_is_noticed(tmp_path, said):
    whole = checkpoint(tmp_path / "iter_20.pth", age=1)
    torch.save(dict(meta={}, state_dict=torch.arange(1000.0), optimizer={}, message_hub={}), whole)
    later = tmp_path / "iter_30.pth"
    content = bytearray(whole.read_bytes())
    content[len(content) // 2] ^= 0x40
    later.write_bytes(content)
    assert find_last_complete_checkpoint(str(tmp_path)) == str(whole)
    assert "iter_30.pth is damaged" in "\n".join(said)


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\0", b"\0" * 40, b"iter_\xff.pth", b"x" * 300, b"x" * 300 + b"/a.pth"]
)
def test_damaged_name_of_the_last_one_is_ignored(tmp_path, content):
    whole = checkpoint(tmp_path / "iter_20.pth")
    (tmp_path / "last_checkpoint").write_bytes(content)
    assert find_last_complete_checkpoint(str(tmp_path)) == str(whole)
    whole.unlink()
    assert find_last_complete_checkpoint(str(tmp_path)) is None


def test_folders_and_dangling_links_are_ignored(tmp_path):
    whole = checkpoint(tmp_path / "iter_20.pth")
    (tmp_path / "iter_30.pth").mkdir()
    (tmp_path / "iter_40.pth").symlink_to("nowhere")
    assert find_last_complete_checkpoint(str(tmp_path)) == str(whole)
    (tmp_path / "last_checkpoint").write_text(str(tmp_path / "iter_30.pth"))
    assert find_last_complete_checkpoint(str(tmp_path)) == str(whole)


def test_file_that_cannot_be_read_is_named(tmp_path, said, monkeypatch):
    whole = checkpoint(tmp_path / "iter_20.pth", age=1)
    checkpoint(tmp_path / "iter_30.pth")
    read = checkpoint_search.load_checkpoint

    def load(file: Path) -> dict:
        if file.name == "iter_30.pth":
            raise PermissionError(13, "Permission denied", str(file))
        return read(file)

    monkeypatch.setattr(checkpoint_search, "load_checkpoint", load)
    assert find_last_complete_checkpoint(str(tmp_path)) == str(whole)
    assert "Permission denied" in said[0] and "iter_30.pth" in said[0]
