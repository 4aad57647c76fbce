"""Tests of schedules of runs that are resumed with a changed config."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace

from lpv_mmocr.engine.resumed_schedule import ResumedScheduleHook

import pytest
import torch
from mmengine.config import Config
from mmengine.optim.scheduler import OneCycleLR
from mmengine.runner import Runner
from training_cases import ONE_CYCLE, RateRecorder, training_config

STEPS = dict(type="MultiStepLR", by_epoch=False, milestones=[3, 9])


def train(numbers: Path, work_dir: Path, scheduler: dict | None, length: int, **options) -> list:
    """Train and return the learning rates."""
    config: Config = training_config(numbers, work_dir, train_cfg__max_iters=length)
    config.param_scheduler = scheduler and [scheduler]
    config.val_dataloader = config.val_cfg = config.val_evaluator = None
    config.merge_from_dict(options)
    runner = Runner.from_cfg(config)
    recorder = RateRecorder()
    runner.register_hook(recorder)
    if config.get("resume"):
        runner.register_hook(ResumedScheduleHook())
    runner.train()
    return recorder.rates


def resumed(folder: Path) -> dict:
    return dict(resume=True, load_from=str(folder / "iter_8.pth"))


def test_extended_one_cycle_continues_on_the_longer_curve(numbers, tmp_path, runs_of_its_own):
    train(numbers, tmp_path / "short", dict(ONE_CYCLE, total_steps=8), 8)
    longer = dict(ONE_CYCLE, total_steps=20)
    rates = train(numbers, tmp_path / "longer", longer, 20, **resumed(tmp_path / "short"))
    assert rates == train(numbers, tmp_path / "whole", longer, 20)[8:]


def test_shortened_one_cycle_continues_on_the_shorter_curve(numbers, tmp_path, runs_of_its_own):
    train(numbers, tmp_path / "long", dict(ONE_CYCLE, total_steps=40), 40)
    shorter = dict(ONE_CYCLE, total_steps=12)
    rates = train(numbers, tmp_path / "shorter", shorter, 12, **resumed(tmp_path / "long"))
    assert rates == train(numbers, tmp_path / "whole", shorter, 12)[8:]


def test_extended_one_cycle_with_a_late_begin_has_the_right_step():
    def after_seven(total_steps: int) -> OneCycleLR:
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        scheduler = OneCycleLR(optimizer, eta_max=1.0, total_steps=total_steps, begin=3)
        for _ in range(7):
            optimizer.step()
            scheduler.step()
        return scheduler

    state, longer = after_seven(6).state_dict(), after_seven(20)
    runner = SimpleNamespace(param_schedulers=[longer], logger=logging.getLogger("late"))
    ResumedScheduleHook().after_load_checkpoint(runner, dict(param_schedulers=[state]))
    assert state["last_step"] == longer.last_step


def test_checkpoint_without_schedules_is_accepted():
    runner = SimpleNamespace(param_schedulers=[ONE_CYCLE])
    ResumedScheduleHook().after_load_checkpoint(runner, {})


@pytest.mark.parametrize(
    "schedule",
    [
        STEPS,
        dict(STEPS, milestones=[3, 8]),
        dict(type="StepLR", by_epoch=False, step_size=3),
        dict(type="ExponentialLR", by_epoch=False, gamma=0.5),
    ],
)
def test_step_schedule_continues_in_a_longer_training(numbers, tmp_path, runs_of_its_own, schedule):
    train(numbers, tmp_path / "short", schedule, 8)
    rates = train(numbers, tmp_path / "longer", schedule, 12, **resumed(tmp_path / "short"))
    assert rates == pytest.approx(train(numbers, tmp_path / "whole", schedule, 12)[8:])


@pytest.mark.parametrize(
    ("before", "after", "options", "said"),
    [
        (ONE_CYCLE, dict(ONE_CYCLE, eta_max=1e-3), {}, "keeps eta_max 0.008 (config: 0.001)"),
        (STEPS, dict(STEPS, milestones=[6]), {}, "keeps milestones {3: 1, 9: 1} (config: "),
        (STEPS, STEPS, {"optim_wrapper.optimizer.lr": 0.5}, "(config: [0.5])"),
        (ONE_CYCLE, dict(ONE_CYCLE, pct_start=0.75), {}, "keeps _schedule_phases"),
        (STEPS, STEPS, {}, None),
    ],
)
def test_kept_settings_are_logged(numbers, tmp_path, runs_of_its_own, before, after, options, said):
    rates = train(numbers, tmp_path / "first", before, 12)
    resuming = {**options, **resumed(tmp_path / "first")}
    assert train(numbers, tmp_path / "second", after, 12, **resuming) == rates[8:]
    (log,) = (tmp_path / "second").glob("*/*.log")
    if said is None:
        assert "A resumed training run keeps" not in log.read_text()
    else:
        assert said in log.read_text() and "start a new training run" in log.read_text()


@pytest.mark.parametrize(
    ("after", "message"),
    [
        (None, r"the config has the schedulers none, the checkpoint has param_scheduler\.0"),
        (ONE_CYCLE, r"param_scheduler\.0 is of another kind in the checkpoint\. .* load_from="),
    ],
)
def test_other_schedules_are_refused(numbers, tmp_path, runs_of_its_own, after, message):
    train(numbers, tmp_path / "first", STEPS, 12)
    with pytest.raises(ValueError, match=message):
        train(numbers, tmp_path / "second", after, 12, **resumed(tmp_path / "first"))


@pytest.mark.parametrize(
    "schedule",
    [
        dict(type="CosineAnnealingLR", by_epoch=False, T_max=8),
        dict(type="LinearLR", by_epoch=False, start_factor=1.0, end_factor=0.01),
        dict(type="PolyLR", by_epoch=False, eta_min=1e-5),
    ],
    ids=lambda schedule: schedule["type"],
)
def test_curve_that_has_ended_stays_at_its_final_value(
    numbers, tmp_path, runs_of_its_own, schedule
):
    """It keeps its original length, beyond which it would rise or fall below zero."""
    train(numbers, tmp_path / "short", schedule, 8)
    rates = train(numbers, tmp_path / "longer", schedule, 12, **resumed(tmp_path / "short"))
    assert len({*rates}) == 1 and 0 <= rates[0] < 2e-4
    (log,) = (tmp_path / "longer").glob("*/*.log")
    assert "end 8 (config: 12)" in log.read_text()
