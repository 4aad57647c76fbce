"""Checkpoints are whole or not there; the best one is never missing; a full disk is survived."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import lpv_mmocr.engine.atomic_file_backend as atomic
from lpv_mmocr.engine import (
    AtomicCheckpointHook,
    AtomicLocalBackend,
    CheckpointError,
    find_last_complete_checkpoint,
)

import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.runner import Runner
from mmengine.runner.checkpoint import find_latest_checkpoint
from mmocr.registry import METRICS
from training_cases import train, training_config

# --- The file backend ---


class FailingDisk:
    """Stands for ``os`` in the backend: a disk that is full when data have to reach it.

    Args:
        may_fail: Which files it is full for.
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


def test_backend_writes_bytes_and_text(tmp_path):
    backend = AtomicLocalBackend()
    backend.put(b"\x00\x01", tmp_path / "new" / "a.bin")
    backend.put_text("ä\n", tmp_path / "b.txt")
    assert (tmp_path / "new" / "a.bin").read_bytes() == b"\x00\x01"
    assert (tmp_path / "b.txt").read_text(encoding="utf-8") == "ä\n"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.bin", "b.txt", "new"]


def test_backend_keeps_the_old_file_on_a_full_disk(tmp_path, monkeypatch):
    backend = AtomicLocalBackend()
    backend.put(b"old", tmp_path / "file")
    monkeypatch.setattr(atomic, "os", FailingDisk())
    with pytest.raises(OSError, match="No space left"):
        backend.put(b"newer", tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_backend_keeps_the_old_file_when_a_file_may_not_grow(tmp_path):
    """A real refusal of the operating system in the middle of the data."""
    import resource

    AtomicLocalBackend().put(b"old", tmp_path / "file")
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            AtomicLocalBackend().put(bytes(5000), tmp_path / "file")
        except OSError as error:
            os._exit(error.errno)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == errno.EFBIG
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


def test_backend_syncs_before_it_renames(tmp_path, monkeypatch):
    events = []

    class Watched(FailingDisk):
        def fsync(self, descriptor):
            events.append(("sync", os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}"))))

    original = Path.replace
    monkeypatch.setattr(atomic, "os", Watched())
    monkeypatch.setattr(
        Path, "replace", lambda a, b: (events.append(("name", a.name)), original(a, b))[1]
    )
    AtomicLocalBackend().put(b"x", tmp_path / "f")
    assert events == [("sync", "f.partial"), ("name", "f.partial"), ("sync", tmp_path.name)]


# --- Looking for the checkpoint to resume from ---


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


# --- In a training ---


@METRICS.register_module()
class ScriptedMetric(BaseMetric):
    """Gives the next of some scores at each validation."""

    def __init__(self, scores: list[float]) -> None:
        super().__init__()
        self.scores = iter(scores)

    def process(self, data_batch, data_samples) -> None:
        self.results.append(0)

    def compute_metrics(self, results) -> dict[str, float]:
        return dict(score=next(self.scores))


def scripted(numbers: Path, work_dir: Path, scores: list[float], **hook):
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


def test_best_and_kept_checkpoints(numbers, tmp_path):
    scores = [0.5, 0.7, 0.6, float("nan"), 0.65]
    runner, _ = train(scripted(numbers, tmp_path, scores, max_keep_ckpts=2))
    assert names(tmp_path) == ["best_score_iter_4.pth", "iter_10.pth", "iter_8.pth"]
    assert (tmp_path / "last_checkpoint").read_text() == str(tmp_path / "iter_10.pth")
    assert runner.message_hub.get_info("best_score") == 0.7


def test_at_every_moment_there_is_a_whole_best_checkpoint(numbers, tmp_path, monkeypatch):
    """Looks into the folder at each deletion: what takes the place is there, and loads."""
    seen = []
    original = AtomicLocalBackend.remove

    def watched(self, path):
        others = [file for file in tmp_path.glob("*.pth") if file != Path(path)]
        assert all("state_dict" in torch.load(file, weights_only=True) for file in others)
        seen.append((Path(path).name, sorted(file.name for file in others)))
        original(self, path)

    monkeypatch.setattr(AtomicLocalBackend, "remove", watched)
    train(scripted(numbers, tmp_path, [0.5, 0.7, 0.9], max_keep_ckpts=1))
    assert ("best_score_iter_2.pth", ["best_score_iter_4.pth", "iter_4.pth"]) in seen
    assert ("best_score_iter_4.pth", ["best_score_iter_6.pth", "iter_6.pth"]) in seen
    assert [name for name, _ in seen if name.startswith("iter")] == ["iter_2.pth", "iter_4.pth"]
    assert all("last_checkpoint" not in others for _, others in seen)


def test_resumed_run_knows_the_best(numbers, tmp_path):
    train(scripted(numbers, tmp_path, [0.5, 0.7]))
    config = scripted(numbers, tmp_path, [0.6, 0.8], max_keep_ckpts=9)
    config.merge_from_dict(dict(resume=True, train_cfg=dict(max_iters=8)))
    train(config)
    assert names(tmp_path, "best*") == ["best_score_iter_8.pth"]


def full_for(monkeypatch, may_fail) -> FailingDisk:
    disk = FailingDisk(may_fail)
    monkeypatch.setattr(atomic, "os", disk)
    return disk


def test_training_goes_on_when_the_disk_is_full_for_a_while(numbers, tmp_path, monkeypatch, capfd):
    disk = full_for(monkeypatch, lambda name: name.startswith("iter_4.pth"))
    _, seen = train(scripted(numbers, tmp_path, [0.5, 0.4, 0.3, 0.2], max_keep_ckpts=1))
    assert len(seen) == 8
    assert disk.failed == ["iter_4.pth.partial"]
    assert names(tmp_path) == ["best_score_iter_2.pth", "iter_8.pth"]
    said = capfd.readouterr()
    assert "iter_4.pth could not be written" in said.out + said.err
    assert "iter_2.pth is still whole" in said.out + said.err


def test_training_ends_after_several_failures_with_the_last_good_checkpoint(
    numbers, tmp_path, monkeypatch
):
    full_for(monkeypatch, lambda name: name.startswith("iter") and "iter_2" not in name)
    config = scripted(numbers, tmp_path, [0.5] * 9, max_failures=2, max_keep_ckpts=1)
    with pytest.raises(CheckpointError, match=r"iter_6.pth could not .* 2 failed in a row"):
        train(config)
    assert names(tmp_path) == ["best_score_iter_2.pth", "iter_2.pth"]
    assert find_last_complete_checkpoint(str(tmp_path)) == str(tmp_path / "iter_2.pth")


def test_training_does_not_end_well_without_its_last_checkpoint(numbers, tmp_path, monkeypatch):
    full_for(monkeypatch, lambda name: name.startswith("iter_4"))
    with pytest.raises(CheckpointError, match=r"it was the last one\. Make room and resume"):
        train(scripted(numbers, tmp_path, [0.5, 0.4]))


def test_old_best_stays_when_the_new_one_cannot_be_written(numbers, tmp_path, monkeypatch):
    full_for(monkeypatch, lambda name: name.startswith("best") and "iter_4" in name)
    runner, _ = train(scripted(numbers, tmp_path, [0.5, 0.9, 0.4]))
    assert names(tmp_path, "best*") == ["best_score_iter_2.pth"]
    assert runner.message_hub.get_info("best_score") == 0.5


def test_half_written_files_are_cleared_away(numbers, tmp_path):
    (tmp_path / "iter_2.pth.partial").write_bytes(b"PK")
    train(scripted(numbers, tmp_path, [0.5]))
    assert names(tmp_path) == ["best_score_iter_2.pth", "iter_2.pth"]


def test_metric_that_is_not_there_is_named(numbers, tmp_path):
    with pytest.raises(KeyError, match=r"save_best='accuracy' is no metric .* which has score"):
        train(scripted(numbers, tmp_path, [0.5], save_best="accuracy"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(interval=0), "interval must be at least 1"),
        (dict(interval=1, max_failures=0), "max_failures must be at least 1"),
        (dict(interval=1, by_epoch=True), "counts iterations"),
        (dict(interval=1, backend_args=dict(backend="petrel")), "backend_args has no meaning"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        AtomicCheckpointHook(**options)


def test_remote_folders_are_refused(numbers, tmp_path):
    config = scripted(numbers, tmp_path, [0.5], out_dir="s3://bucket/runs")
    with pytest.raises(ValueError, match="local folders only, not to s3://bucket/runs"):
        Runner.from_cfg(config).train()


def test_resumed_run_deletes_what_the_interrupted_one_was_about_to(numbers, tmp_path):
    def run(max_iters: int, **options) -> None:
        train(
            training_config(
                numbers,
                tmp_path,
                train_cfg__max_iters=max_iters,
                default_hooks__checkpoint__max_keep_ckpts=1,
                **options,
            )
        )

    run(4)
    first = (tmp_path / "iter_4.pth").read_bytes()
    run(8, resume=True)
    assert not (tmp_path / "iter_4.pth").exists()
    # As if the run had been killed between the two.
    (tmp_path / "iter_4.pth").write_bytes(first)
    older = (tmp_path / "iter_4.pth").stat().st_mtime - 60
    os.utime(tmp_path / "iter_4.pth", (older, older))
    run(9, resume=True)
    assert not (tmp_path / "iter_4.pth").exists()
