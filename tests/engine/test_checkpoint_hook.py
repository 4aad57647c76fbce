"""Tests of the checkpoint hook: atomic files, the best checkpoint, full disks."""

from __future__ import annotations

import os
from pathlib import Path

from lpv_mmocr import atomic_files
from lpv_mmocr.engine import (
    AtomicCheckpointHook,
    AtomicLocalBackend,
    CheckpointError,
    checkpoint_hook,
    find_last_complete_checkpoint,
    load_checkpoint,
)

import pytest
import torch
from checkpoint_cases import FailingDisk, ScriptedMetric, names, scripted
from mmengine.runner import Runner
from training_cases import At, train, training_config


def test_best_and_last_checkpoints_are_kept(numbers, tmp_path):
    scores = [0.5, 0.7, 0.6, float("nan"), 0.65]
    runner, _ = train(scripted(numbers, tmp_path, scores, max_keep_ckpts=2))
    assert names(tmp_path) == ["best_score_iter_4.pth", "iter_10.pth", "iter_8.pth"]
    assert (tmp_path / "last_checkpoint").read_text() == str(tmp_path / "iter_10.pth")
    assert runner.message_hub.get_info("best_score") == 0.7
    assert "random_states" not in runner.message_hub.runtime_info


def test_better_score_of_the_same_iteration_replaces_the_file(numbers, tmp_path):
    config = scripted(numbers, tmp_path, [0.5, 0.6, 0.4])
    config.train_cfg.max_iters = 2
    runner = Runner.from_cfg(config)
    runner.register_hook(At(2, lambda runner: [runner.val_loop.run() for _ in range(2)]))
    runner.train()
    assert names(tmp_path) == ["best_score_iter_1.pth", "iter_2.pth"]


def test_complete_best_checkpoint_exists_at_every_moment(numbers, tmp_path, monkeypatch):
    """At each deletion, the replacement is already in the folder and can be loaded."""
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


def test_resumed_run_knows_the_best_score(numbers, tmp_path):
    train(scripted(numbers, tmp_path, [0.5, 0.7]))
    config = scripted(numbers, tmp_path, [0.6, 0.8], max_keep_ckpts=9)
    config.merge_from_dict(dict(resume=True, train_cfg=dict(max_iters=8)))
    train(config)
    assert names(tmp_path, "best*") == ["best_score_iter_8.pth"]


def test_best_score_of_a_caught_up_validation_is_saved(numbers, tmp_path, monkeypatch):
    def interrupt(*_):
        raise InterruptedError

    with monkeypatch.context() as context, pytest.raises(InterruptedError):
        context.setattr(ScriptedMetric, "compute_metrics", interrupt)
        train(scripted(numbers, tmp_path, [0.5, 0.5]))  # interrupted after checkpoint 2
    config = scripted(numbers, tmp_path, [0.7, 0.7])
    config.resume = True
    runner = Runner.from_cfg(config)
    runner.register_hook(At(3, interrupt))
    with pytest.raises(InterruptedError):
        runner.train()
    last = load_checkpoint(tmp_path / "iter_2.pth")
    assert last["message_hub"]["runtime_info"]["best_score"] == 0.7


def stop_at_three(config) -> None:
    runner = Runner.from_cfg(config)
    runner.register_hook(At(3, lambda runner: setattr(runner.train_loop, "stop_training", True)))
    runner.train()


def test_stopped_run_is_saved_only_with_save_last(numbers, tmp_path):
    stop_at_three(scripted(numbers, tmp_path, [0.5, 0.4], save_last=False))
    assert names(tmp_path) == ["best_score_iter_2.pth", "iter_2.pth"]


def test_stopped_run_without_its_last_checkpoint_is_an_error(numbers, tmp_path, monkeypatch):
    full_for(monkeypatch, lambda name: name.startswith("iter_3"))
    with pytest.raises(CheckpointError, match=r"iter_3.* it was the last one\. Free some"):
        stop_at_three(scripted(numbers, tmp_path, [0.5, 0.4]))


def test_nonconsecutive_failures_do_not_end_the_training(numbers, tmp_path, monkeypatch):
    full_for(monkeypatch, lambda name: name.startswith(("iter_2", "iter_6")))
    _, seen = train(scripted(numbers, tmp_path, [0.5, 0.4, 0.3, 0.2], max_failures=2))
    assert len(seen) == 8


def test_other_processes_delete_nothing_and_write_no_pointer(numbers, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint_hook, "is_main_process", lambda: False)
    (tmp_path / "iter_9.pth.partial").write_bytes(b"PK")
    train(scripted(numbers, tmp_path, [0.5, 0.7], max_keep_ckpts=1))
    bests = ["best_score_iter_2.pth", "best_score_iter_4.pth"]
    assert names(tmp_path) == [*bests, "iter_2.pth", "iter_4.pth", "iter_9.pth.partial"]
    assert not (tmp_path / "last_checkpoint").exists()


def test_states_and_errors_of_all_processes_are_collected(numbers, tmp_path, monkeypatch):
    others = [None]
    monkeypatch.setattr(checkpoint_hook, "all_gather_object", lambda mine: [mine, *others])
    train(scripted(numbers, tmp_path, [0.5]))
    states = load_checkpoint(tmp_path / "iter_2.pth")["message_hub"]["runtime_info"]
    assert len(states["random_states"]) == 2
    others[:] = [OSError(28, "No space left on device")]
    with pytest.raises(CheckpointError, match=r"iter_2.pth could not be written \(.*No space"):
        train(scripted(numbers, tmp_path, [0.5]))


def full_for(monkeypatch, may_fail) -> FailingDisk:
    disk = FailingDisk(may_fail)
    monkeypatch.setattr(atomic_files, "os", disk)
    return disk


def test_training_continues_if_the_disk_is_full_for_a_while(numbers, tmp_path, monkeypatch, capfd):
    disk = full_for(monkeypatch, lambda name: name.startswith("iter_4.pth"))
    _, seen = train(scripted(numbers, tmp_path, [0.5, 0.4, 0.3, 0.2], max_keep_ckpts=1))
    assert len(seen) == 8
    assert [atomic_files.final_name(name) for name in disk.failed] == ["iter_4.pth"]
    assert names(tmp_path) == ["best_score_iter_2.pth", "iter_8.pth"]
    said = capfd.readouterr()
    assert "iter_4.pth could not be written" in said.out + said.err
    assert "iter_2.pth is still intact" in said.out + said.err


def test_repeated_failures_end_training_and_keep_a_checkpoint(numbers, tmp_path, monkeypatch):
    full_for(monkeypatch, lambda name: name.startswith("iter") and "iter_2" not in name)
    config = scripted(numbers, tmp_path, [0.5] * 9, max_failures=2, max_keep_ckpts=1)
    with pytest.raises(CheckpointError, match=r"iter_6.pth could not .* 2 failed in a row"):
        train(config)
    assert names(tmp_path) == ["best_score_iter_2.pth", "iter_2.pth"]
    assert find_last_complete_checkpoint(str(tmp_path)) == str(tmp_path / "iter_2.pth")


def test_training_continues_if_the_first_checkpoint_fails(numbers, tmp_path, monkeypatch, capfd):
    full_for(monkeypatch, lambda name: name.startswith("iter_2"))
    train(scripted(numbers, tmp_path, [0.5, 0.4], max_failures=2))
    assert names(tmp_path) == ["best_score_iter_2.pth", "iter_4.pth"]
    said = capfd.readouterr()
    assert "there is none before it. Training continues" in said.out + said.err


def test_failure_of_the_last_checkpoint_is_an_error(numbers, tmp_path, monkeypatch):
    full_for(monkeypatch, lambda name: name.startswith("iter_4"))
    with pytest.raises(
        CheckpointError, match=r"it was the last one\. Free some disk space and resume"
    ):
        train(scripted(numbers, tmp_path, [0.5, 0.4]))


def test_old_best_stays_when_the_new_one_cannot_be_written(numbers, tmp_path, monkeypatch):
    full_for(monkeypatch, lambda name: name.startswith("best") and "iter_4" in name)
    runner, _ = train(scripted(numbers, tmp_path, [0.5, 0.9, 0.4]))
    assert names(tmp_path, "best*") == ["best_score_iter_2.pth"]
    assert runner.message_hub.get_info("best_score") == 0.5


def test_failed_best_checkpoint_before_the_end_is_no_error(numbers, tmp_path, monkeypatch, capfd):
    """One iteration remains after the validation."""
    full_for(monkeypatch, lambda name: name.startswith("best") and "iter_4" in name)
    config = scripted(numbers, tmp_path, [0.5, 0.9, 0.4])
    config.train_cfg.max_iters = 5
    _, seen = train(config)
    assert len(seen) == 5
    said = capfd.readouterr()
    assert "tries again when a validation is better again" in said.out + said.err


def test_running_statistics_are_averaged_before_saving(numbers, tmp_path, monkeypatch):
    """Each process has its own, of which only those of the first would be saved otherwise."""

    def average(buffers, op) -> None:
        assert op == "mean"
        for buffer in buffers:
            if buffer.is_floating_point():
                buffer.fill_(0.25)

    monkeypatch.setattr(checkpoint_hook, "all_reduce_params", average)
    train(scripted(numbers, tmp_path, [0.5]))
    weights = torch.load(tmp_path / "iter_2.pth", weights_only=True)["state_dict"]
    means = [value for name, value in weights.items() if name.endswith("running_mean")]
    assert means and all((mean == 0.25).all() for mean in means)


def test_run_resumed_elsewhere_keeps_the_best_of_its_source(numbers, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    train(scripted(numbers, first, [0.5, 0.7]))
    before = names(first)
    config = scripted(numbers, second, [0.8, 0.9])
    config.merge_from_dict(
        dict(resume=True, load_from=str(first / "iter_4.pth"), train_cfg=dict(max_iters=8))
    )
    train(config)
    assert names(first) == before
    assert names(second, "best*") == ["best_score_iter_8.pth"]


def test_failed_pointer_does_not_count_as_failed_checkpoint(numbers, tmp_path, monkeypatch, capfd):
    disk = FailingDisk(lambda name: name.startswith("last_checkpoint") and not disk.failed)
    monkeypatch.setattr(atomic_files, "os", disk)
    train(scripted(numbers, tmp_path, [0.5] * 4, max_keep_ckpts=2, max_failures=1))
    assert [atomic_files.final_name(name) for name in disk.failed] == ["last_checkpoint"]
    assert names(tmp_path) == ["best_score_iter_2.pth", "iter_6.pth", "iter_8.pth"]
    assert (tmp_path / "last_checkpoint").read_text() == str(tmp_path / "iter_8.pth")
    said = capfd.readouterr()
    assert "iter_2.pth is complete, but" in said.out + said.err


def test_last_checkpoint_is_found_without_its_pointer(numbers, tmp_path, monkeypatch):
    full_for(monkeypatch, lambda name: name.startswith("last_checkpoint"))
    train(scripted(numbers, tmp_path, [0.5, 0.4], max_keep_ckpts=1))
    assert find_last_complete_checkpoint(str(tmp_path)) == str(tmp_path / "iter_4.pth")


def test_partial_checkpoints_are_deleted(numbers, tmp_path):
    ours = "iter_2.pth.0a1b2c3d.partial", "iter_2.pth.partial", "last_checkpoint.0a1b2c3d.partial"
    for name in (*ours, "labels.txt.partial"):
        (tmp_path / name).write_bytes(b"PK")
    (tmp_path / "words.partial").mkdir()
    train(scripted(numbers, tmp_path, [0.5]))
    assert names(tmp_path) == ["best_score_iter_2.pth", "iter_2.pth"]
    # These are no checkpoints; other programs may be writing them.
    assert names(tmp_path, "*.partial") == ["labels.txt.partial", "words.partial"]


def test_partial_checkpoints_in_out_dir_are_deleted(numbers, tmp_path):
    folder = tmp_path / "out" / "work"
    folder.mkdir(parents=True)
    (folder / "iter_9.pth.partial").write_bytes(b"PK")
    train(scripted(numbers, tmp_path / "work", [0.5], out_dir=str(tmp_path / "out")))
    assert names(folder) == ["best_score_iter_2.pth", "iter_2.pth"]


def test_missing_metric_is_named(numbers, tmp_path):
    with pytest.raises(KeyError, match=r"save_best='accuracy' is not a metric .* which has score"):
        train(scripted(numbers, tmp_path, [0.5], save_best="accuracy"))


def test_each_metric_has_its_own_best_checkpoint(numbers, tmp_path, monkeypatch):
    def both(self, results) -> dict[str, float]:
        score = next(self.scores)
        return dict(score=score, error=abs(score - 0.6))

    monkeypatch.setattr(ScriptedMetric, "compute_metrics", both)
    rules = dict(save_best=["score", "error"], rule=["greater", "less"])
    runner, _ = train(scripted(numbers, tmp_path, [0.5, 0.6, 0.7], **rules))
    assert names(tmp_path, "best*") == ["best_error_iter_4.pth", "best_score_iter_6.pth"]
    assert runner.message_hub.get_info("best_score_score") == 0.7
    assert runner.message_hub.get_info("best_score_error") == 0
    # The last checkpoint stores it, although only one of the two metrics has improved.
    last = load_checkpoint(tmp_path / "iter_6.pth")["message_hub"]["runtime_info"]
    assert last["best_score_score"] == 0.7


def test_auto_uses_the_first_metric(numbers, tmp_path):
    train(scripted(numbers, tmp_path, [0.5, 0.7], save_best="auto"))
    assert names(tmp_path, "best*") == ["best_score_iter_4.pth"]


def test_old_checkpoints_that_cannot_be_deleted_stay(numbers, tmp_path, monkeypatch, capfd):
    def refuse(self, path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(AtomicLocalBackend, "remove", refuse)
    _, seen = train(scripted(numbers, tmp_path, [0.5, 0.7], max_keep_ckpts=1))
    assert len(seen) == 4
    bests = ["best_score_iter_2.pth", "best_score_iter_4.pth"]
    assert names(tmp_path) == [*bests, "iter_2.pth", "iter_4.pth"]
    said = capfd.readouterr()
    assert "iter_2.pth could not be deleted" in said.out + said.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(interval=0), "interval must be at least 1"),
        (dict(interval=1, max_failures=0), "max_failures must be at least 1"),
        (dict(interval=1, by_epoch=True), "counts iterations"),
        (dict(interval=1, backend_args=dict(backend="petrel")), "does not support backend_args"),
        (dict(interval=1, filename_tmpl="iter.pth"), "gives all checkpoints the same name"),
        (dict(interval=1, out_dir="s3://bucket/runs"), "only, not to s3://bucket/runs"),
    ],
)
def test_invalid_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        AtomicCheckpointHook(**options)


def test_resumed_run_deletes_checkpoints_left_by_interruption(numbers, tmp_path):
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
    # As if the run had been killed before it could delete the older checkpoint.
    (tmp_path / "iter_4.pth").write_bytes(first)
    older = (tmp_path / "iter_4.pth").stat().st_mtime - 60
    os.utime(tmp_path / "iter_4.pth", (older, older))
    run(9, resume=True)
    assert not (tmp_path / "iter_4.pth").exists()


@pytest.mark.parametrize(("accumulated", "warns"), [(3, True), (2, False)])
def test_checkpoints_amid_accumulated_gradients_are_warned_of(
    numbers, tmp_path, capfd, accumulated, warns
):
    config = training_config(numbers, tmp_path, optim_wrapper__accumulative_counts=accumulated)
    Runner.from_cfg(config).train()
    message = "Use a multiple of 3 for the interval of checkpoints (4)"
    said = capfd.readouterr()
    assert (message in said.out + said.err) == warns


@pytest.mark.parametrize("sampler", ["InfiniteSampler", "ResumableInfiniteSampler"])
def test_epochs_that_never_end_are_refused(numbers, tmp_path, sampler):
    config = training_config(numbers, tmp_path)
    config.train_cfg = dict(by_epoch=True, max_epochs=1, val_interval=1)
    config.train_dataloader.sampler = dict(type=sampler, shuffle=True)
    config.param_scheduler = None
    with pytest.raises(ValueError, match=f"counts epochs, and the {sampler} never ends one"):
        Runner.from_cfg(config).train()


def test_run_that_counts_epochs_is_warned_of(numbers, tmp_path, capfd):
    config = training_config(numbers, tmp_path)
    config.train_cfg = dict(by_epoch=True, max_epochs=1, val_interval=1)
    config.train_dataloader.sampler = dict(type="DefaultSampler", shuffle=True)
    config.param_scheduler = None
    Runner.from_cfg(config).train()
    said = capfd.readouterr()
    assert (
        "AtomicCheckpointHook counts iterations, but this run counts epochs" in said.out + said.err
    )
