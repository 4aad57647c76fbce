"""Speed and losses are logged, signals end a training in order."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from pathlib import Path

from lpv_mmocr.datasets import LPVLMDBDataset
from lpv_mmocr.engine import (
    AtomicCheckpointHook,
    StopOnSignalHook,
    ThroughputTimerHook,
    training_hooks,
)
from lpv_mmocr.engine.training_hooks import _adds_up_gradients, _DeafToOthers
from lpv_mmocr.streaming import PoolUsageHook

import pytest
import torch
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from training_cases import At, recorded, train, training_config

# --- What is logged ---

LOGGED = ("loss", "loss_cpa", "ce_stage1", "ce_stage2", "ce_stage3", "grad_norm")


@pytest.fixture
def logged_run(numbers, tmp_path) -> Path:
    config = training_config(
        numbers,
        tmp_path,
        log_level="INFO",
        train_cfg__max_iters=6,
        visualizer__vis_backends=[
            dict(type="LocalVisBackend"),
            dict(type="TensorboardVisBackend"),
        ],
    )
    train(config)
    return tmp_path


def test_log_and_tensorboard_tell_of_the_training(logged_run):
    (events,) = logged_run.rglob("events.out.tfevents*")
    board = EventAccumulator(str(events)).Reload()
    for name in (*LOGGED, "images_per_second", "eta_hours", "lr"):
        values = board.Scalars(name)
        assert [value.step for value in values] == [2, 4, 6], name
        assert all(value.value >= 0 for value in values), name
    assert board.Scalars("eta_hours")[0].value > board.Scalars("eta_hours")[-1].value == 0
    log = next(logged_run.rglob("*.log")).read_text()
    lines = [line for line in log.splitlines() if "Iter(train)" in line]
    assert len(lines) == 3
    for name in (*LOGGED, "images_per_second", "eta", "lr"):
        assert all(f"{name}: " in line for line in lines), name
    assert not any("eta_hours" in line for line in lines)


def test_images_per_second_are_those_of_the_measured_times(logged_run):
    (scalars,) = logged_run.rglob("scalars.json")
    rows = [json.loads(line) for line in scalars.read_text().splitlines()]
    rows = [row for row in rows if "images_per_second" in row]
    assert len(rows) == 3
    for row in rows:  # both are means over two iterations of six images
        assert row["images_per_second"] == pytest.approx(6 / row["time"], rel=1e-6)


def test_images_per_second_are_of_all_processes_and_of_this_run(numbers, tmp_path, monkeypatch):
    monkeypatch.setattr(training_hooks, "get_world_size", lambda: 2)
    train(training_config(numbers, tmp_path, train_cfg__max_iters=4))
    config = training_config(numbers, tmp_path, train_cfg__max_iters=5, resume=True)
    hub = train(config)[0].message_hub
    expected = 2 * 6 / hub.get_scalar("train/time").current()
    assert hub.get_scalar("train/images_per_second").current() == pytest.approx(expected)


def test_timer_needs_an_interval():
    with pytest.raises(ValueError, match="interval must be at least 1, got 0"):
        ThroughputTimerHook(interval=0)


# --- Signals ---


def stoppable(numbers, work_dir, **overrides):
    hooks = [dict(type="BatchRecorderHook"), dict(type="StopOnSignalHook")]
    return training_config(numbers, work_dir, custom_hooks=hooks, **overrides)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_signal_saves_and_exits(numbers, tmp_path, name):
    number = signal.Signals[name]
    before = signal.getsignal(number)
    runner = Runner.from_cfg(stoppable(numbers, tmp_path, train_dataloader__num_workers=1))

    def everybody(runner):  # a scheduler signals the workers as well
        workers = [str(worker.pid) for worker in runner.train_loop.dataloader_iterator._workers]
        subprocess.run(["kill", f"-{number.value}", *workers, str(os.getpid())], check=True)

    runner.register_hook(At(6, everybody))
    with pytest.raises(SystemExit) as raised:
        runner.train()
    assert raised.value.code == 128 + number
    assert len(recorded(runner)) == 6
    assert sorted(path.name for path in tmp_path.glob("*.pth")) == ["iter_4.pth", "iter_6.pth"]
    assert signal.getsignal(number) is before
    # The validation that was due is made up for by the resumed run.
    resumed, seen = train(stoppable(numbers, tmp_path, resume=True))
    assert [int(line.split()[0]) for line in seen] == list(range(6, 12))
    assert len(resumed.message_hub.get_scalar("val/recog/word_acc_ignore_case_symbol").data[0]) == 2


def test_signal_waits_for_gradients_that_are_being_added(numbers, tmp_path):
    """What an interrupted run leaves is what an uninterrupted one comes by."""
    options = dict(optim_wrapper__accumulative_counts=3)
    whole, _ = train(stoppable(numbers, tmp_path / "whole", **options))
    runner = Runner.from_cfg(stoppable(numbers, tmp_path / "cut", **options))
    runner.register_hook(At(4, lambda runner: signal.raise_signal(signal.SIGTERM)))
    with pytest.raises(SystemExit):
        runner.train()
    assert (tmp_path / "cut/iter_6.pth").is_file()
    resumed, _ = train(stoppable(numbers, tmp_path / "cut", resume=True, **options))
    for name, value in whole.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], value), name


def test_several_optimisers_wait_for_nothing():
    model = torch.nn.Linear(1, 1)
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=1.0), accumulative_counts=2)
    assert not _adds_up_gradients(OptimWrapperDict(a=wrapper))


def test_last_checkpoint_does_not_wait_for_the_makers_of_pictures(numbers, tmp_path, monkeypatch):
    runner = Runner.from_cfg(stoppable(numbers, tmp_path))
    seen = []
    monkeypatch.setattr(LPVLMDBDataset, "statistics", dict, raising=False)

    def stop(dataset) -> None:
        seen.extend(tmp_path.glob("iter_5.pth"))

    monkeypatch.setattr(LPVLMDBDataset, "stop", stop, raising=False)
    runner.register_hook(PoolUsageHook())
    runner.register_hook(At(5, lambda runner: signal.raise_signal(signal.SIGTERM)))
    with pytest.raises(SystemExit):
        runner.train()
    assert seen == [tmp_path / "iter_5.pth"]


@pytest.mark.parametrize("seconds", [0.0, 60.0])
def test_second_signal_acts_at_once_unless_it_is_the_same_passed_on(
    numbers, tmp_path, monkeypatch, request, seconds
):
    monkeypatch.setattr(StopOnSignalHook, "same_signal_seconds", seconds)
    # Processes in the background are started with SIGINT ignored.
    at_start = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, at_start))
    runner = Runner.from_cfg(stoppable(numbers, tmp_path))

    def twice(runner):
        # To this thread and at once: of two that are on their way, one gets lost.
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    runner.register_hook(At(2, twice))
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt if seconds == 0 else SystemExit):
        runner.train()
    assert signal.getsignal(signal.SIGINT) is before
    assert bool(list(tmp_path.glob("*.pth"))) is (seconds > 0)


def test_the_same_signal_passed_on_while_the_last_checkpoint_is_written(
    numbers, tmp_path, monkeypatch
):
    runner = Runner.from_cfg(stoppable(numbers, tmp_path))
    runner.register_hook(At(5, lambda runner: signal.raise_signal(signal.SIGTERM)))
    write = AtomicCheckpointHook._save_checkpoint_with_step

    def interrupted(self, runner, step, meta):
        if step == 5:
            signal.raise_signal(signal.SIGTERM)
        write(self, runner, step, meta)

    monkeypatch.setattr(AtomicCheckpointHook, "_save_checkpoint_with_step", interrupted)
    with pytest.raises(SystemExit) as raised:
        runner.train()
    assert raised.value.code == 128 + signal.SIGTERM
    assert (tmp_path / "iter_5.pth").is_file()


def test_signals_are_as_before_when_the_training_fails(numbers, tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    runner = Runner.from_cfg(stoppable(numbers, tmp_path))

    def fail(runner):
        assert signal.getsignal(signal.SIGTERM) is not before
        raise ArithmeticError

    runner.register_hook(At(2, fail))
    with pytest.raises(ArithmeticError):
        runner.train()
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("seed", [None, 8])
def test_worker_processes_are_protected_in_a_resumed_run_of_another_seed(numbers, tmp_path, seed):
    workers = dict(train_dataloader__num_workers=1)
    train(stoppable(numbers, tmp_path, train_cfg__max_iters=4, **workers))
    config = stoppable(numbers, tmp_path, resume=True, **workers)
    config.randomness = dict(seed=seed)
    runner = Runner.from_cfg(config)
    runner.train()
    loader = runner.train_loop.dataloader
    assert isinstance(loader.worker_init_fn, _DeafToOthers)
    assert isinstance(runner.val_loop.dataloader.worker_init_fn, _DeafToOthers)


def test_worker_processes_begin_as_they_would_otherwise(monkeypatch):
    monkeypatch.setattr(_DeafToOthers, "_listen", lambda self: None)
    begun = []
    _DeafToOthers((), begun.append)(3)
    _DeafToOthers((), None)(4)
    assert begun == [3]


def test_training_in_another_thread_does_without_signals(numbers, tmp_path):
    seen = []
    config = stoppable(numbers, tmp_path, train_cfg__max_iters=1)
    thread = threading.Thread(target=lambda: seen.extend(train(config)[1]))
    thread.start()
    thread.join()
    assert len(seen) == 1
