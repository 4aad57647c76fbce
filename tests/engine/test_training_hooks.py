"""Tests of logging speed and losses, and of ending training on signals."""

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
from lpv_mmocr.engine.training_hooks import _accumulates_gradients, _IgnoreForeignSignals
from lpv_mmocr.streaming import PoolUsageHook

import pytest
import torch
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from training_cases import At, recorded, train, training_config

# --- Logging ---

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


def test_log_and_tensorboard_show_the_training_progress(logged_run):
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


def test_images_per_second_agree_with_the_measured_times(logged_run):
    (scalars,) = logged_run.rglob("scalars.json")
    rows = [json.loads(line) for line in scalars.read_text().splitlines()]
    rows = [row for row in rows if "images_per_second" in row]
    assert len(rows) == 3
    for row in rows:  # both are means over two iterations of six images
        assert row["images_per_second"] == pytest.approx(6 / row["time"], rel=1e-6)


def test_images_per_second_count_all_processes_of_this_run(numbers, tmp_path, monkeypatch):
    monkeypatch.setattr(training_hooks, "get_world_size", lambda: 2)
    train(training_config(numbers, tmp_path, train_cfg__max_iters=4))
    config = training_config(numbers, tmp_path, train_cfg__max_iters=5, resume=True)
    hub = train(config)[0].message_hub
    expected = 2 * 6 / hub.get_scalar("train/time").current()
    assert hub.get_scalar("train/images_per_second").current() == pytest.approx(expected)


def test_invalid_timer_interval_is_refused():
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
    # The resumed run catches up on the validation that was due.
    resumed, seen = train(stoppable(numbers, tmp_path, resume=True))
    assert [int(line.split()[0]) for line in seen] == list(range(6, 12))
    assert len(resumed.message_hub.get_scalar("val/recog/word_acc_ignore_case_symbol").data[0]) == 2


def test_signal_waits_for_accumulated_gradients(numbers, tmp_path):
    """An interrupted and resumed run ends with the weights of an uninterrupted one."""
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


def test_several_optimisers_do_not_delay_a_signal():
    model = torch.nn.Linear(1, 1)
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=1.0), accumulative_counts=2)
    assert not _accumulates_gradients(OptimWrapperDict(a=wrapper))


def test_last_checkpoint_precedes_stopping_the_dataset(numbers, tmp_path, monkeypatch):
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
def test_second_signal_acts_immediately_unless_forwarded(
    numbers, tmp_path, monkeypatch, request, seconds
):
    monkeypatch.setattr(StopOnSignalHook, "same_signal_seconds", seconds)
    # Background processes are started with SIGINT ignored.
    at_start = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, at_start))
    runner = Runner.from_cfg(stoppable(numbers, tmp_path))

    def twice(runner):
        # Synchronously in this thread: of two pending signals, one would be lost.
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    runner.register_hook(At(2, twice))
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt if seconds == 0 else SystemExit):
        runner.train()
    assert signal.getsignal(signal.SIGINT) is before
    assert bool(list(tmp_path.glob("*.pth"))) is (seconds > 0)


def test_forwarded_signal_does_not_interrupt_the_last_checkpoint(numbers, tmp_path, monkeypatch):
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


def test_signal_handlers_are_restored_if_training_fails(numbers, tmp_path):
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
def test_workers_of_a_resumed_run_are_protected_from_signals(numbers, tmp_path, seed):
    workers = dict(train_dataloader__num_workers=1)
    train(stoppable(numbers, tmp_path, train_cfg__max_iters=4, **workers))
    config = stoppable(numbers, tmp_path, resume=True, **workers)
    config.randomness = dict(seed=seed)
    runner = Runner.from_cfg(config)
    runner.train()
    loader = runner.train_loop.dataloader
    assert isinstance(loader.worker_init_fn, _IgnoreForeignSignals)
    assert isinstance(runner.val_loop.dataloader.worker_init_fn, _IgnoreForeignSignals)


def test_worker_init_function_is_still_called(monkeypatch):
    monkeypatch.setattr(_IgnoreForeignSignals, "_listen", lambda self: None)
    begun = []
    _IgnoreForeignSignals((), begun.append)(3)
    _IgnoreForeignSignals((), None)(4)
    assert begun == [3]


def test_training_works_outside_the_main_thread(numbers, tmp_path):
    seen = []
    config = stoppable(numbers, tmp_path, train_cfg__max_iters=1)
    thread = threading.Thread(target=lambda: seen.extend(train(config)[1]))
    thread.start()
    thread.join()
    assert len(seen) == 1
