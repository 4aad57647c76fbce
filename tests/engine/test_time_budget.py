"""Tests of training within a time budget."""

from __future__ import annotations

import math
from types import SimpleNamespace

from lpv_mmocr.engine import TimeBudgetHook, time_budget

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from training_cases import training_config

HOOK = dict(type="TimeBudgetHook", minutes=1.0, peak_lr=0.5, warm_up=0.25, mask_from=0.5)


@pytest.fixture
def clock(monkeypatch):
    """Clock that advances by five seconds whenever it is read."""
    clock = SimpleNamespace(now=0.0)

    def monotonic() -> float:
        clock.now += 5.0
        return clock.now

    monkeypatch.setattr(time_budget, "time", SimpleNamespace(monotonic=monotonic))
    return clock


def budget_config(numbers, folder, hook: dict, **overrides):
    config = training_config(numbers, folder, param_scheduler=None, **overrides)
    config.custom_hooks = [hook]
    config.train_cfg.max_iters = 1000
    return config


def test_learning_rate_rises_and_falls():
    hook = TimeBudgetHook(minutes=1, peak_lr=2.0, warm_up=0.2, final_lr=0.1)
    assert hook.learning_rate(0.0) == pytest.approx(0.02)
    assert hook.learning_rate(0.1) == pytest.approx(1.0)
    assert hook.learning_rate(0.2) == pytest.approx(2.0)
    middle = 0.1 + 0.9 * (1 + math.cos(math.pi / 2)) / 2
    assert hook.learning_rate(0.6) == pytest.approx(2.0 * middle)
    assert hook.learning_rate(1.0) == pytest.approx(0.2)


def test_training_ends_when_the_time_is_up(numbers, tmp_path, clock):
    runner = Runner.from_cfg(budget_config(numbers, tmp_path, HOOK))
    runner.train()
    # The clock is read twice per iteration, so each iteration takes ten seconds.
    assert runner.iter == 6
    assert runner.model.decoder.with_mask
    assert (tmp_path / "iter_6.pth").is_file()
    assert (tmp_path / "finished").is_file()
    assert runner.optim_wrapper.param_groups[0]["lr"] < 0.05


def test_schedulers_of_the_config_are_refused(numbers, tmp_path, clock):
    config = budget_config(numbers, tmp_path, HOOK)
    config.param_scheduler = [dict(type="LinearLR", by_epoch=False, start_factor=0.01, end=5)]
    with pytest.raises(ValueError, match="set param_scheduler = None in the config"):
        Runner.from_cfg(config).train()


def test_parts_of_the_model_keep_their_learning_rate_factors(numbers, tmp_path, clock):
    config = budget_config(numbers, tmp_path, HOOK)
    parts = dict(custom_keys=dict(encoder=dict(lr_mult=0.1)))
    config.optim_wrapper.paramwise_cfg = parts
    runner = Runner.from_cfg(config)
    runner.train()
    rates = {group["lr"] for group in runner.optim_wrapper.param_groups}
    assert min(rates) == pytest.approx(0.1 * max(rates)) and len(rates) == 2
    # The checkpoint holds the final learning rates; a longer budget applies the factors again.
    config.custom_hooks[0].minutes *= 2
    config.update(resume=True, load_from=str(tmp_path / "iter_6.pth"))
    runner = Runner.from_cfg(config)
    runner.train()
    rates = {group["lr"] for group in runner.optim_wrapper.param_groups}
    assert min(rates) == pytest.approx(0.1 * max(rates)) and runner.iter > 6


def test_mask_is_enabled_midway(numbers, tmp_path, clock):
    masks = []

    class Watch(TimeBudgetHook):
        def before_train_iter(self, runner, *args, **kwargs):
            super().before_train_iter(runner, *args, **kwargs)
            masks.append(runner.model.decoder.with_mask)

    runner = Runner.from_cfg(budget_config(numbers, tmp_path, dict(type="IterTimerHook")))
    runner.register_hook(Watch(**{key: HOOK[key] for key in HOOK if key != "type"}))
    runner.train()
    assert masks == sorted(masks) and {*masks} == {False, True}


def test_resumed_run_continues_with_the_remaining_time(numbers, tmp_path, clock):
    hook = {**HOOK, "call_minutes": 0.5}
    first = Runner.from_cfg(budget_config(numbers, tmp_path, hook))
    first.train()
    rate = first.optim_wrapper.param_groups[0]["lr"]
    iterations = first.iter
    assert 0 < iterations < 6
    assert not (tmp_path / "finished").exists()
    clock.now += 1e6  # the time between the two runs does not count
    second = Runner.from_cfg(budget_config(numbers, tmp_path, hook, resume=True))
    second.train()
    assert second.iter > iterations
    assert second.optim_wrapper.param_groups[0]["lr"] < rate


def test_extended_training_is_not_marked_as_finished(numbers, tmp_path, clock):
    Runner.from_cfg(budget_config(numbers, tmp_path, HOOK)).train()
    assert (tmp_path / "finished").is_file()
    longer = {**HOOK, "minutes": 10 * HOOK["minutes"], "call_minutes": 0.5}
    Runner.from_cfg(budget_config(numbers, tmp_path, longer, resume=True)).train()
    assert not (tmp_path / "finished").exists()


def test_caught_up_validation_uses_the_mask_of_its_time(numbers, tmp_path, clock):
    masks = []

    class Watch(Hook):
        def __init__(self, failing: bool) -> None:
            self.failing = failing

        def before_val(self, runner) -> None:
            if self.failing:
                raise InterruptedError
            masks.append((runner.iter, runner.model.decoder.with_mask))

    def start(*, failing: bool, **overrides) -> None:
        hook = {**HOOK, "mask_from": 1, "minutes": 10}
        # Each run has its own name, since runners of one name share a message hub.
        config = budget_config(numbers, tmp_path, hook, model__decoder__with_mask=True, **overrides)
        config.train_cfg.update(val_interval=4, max_iters=4)
        runner = Runner.from_cfg(config)
        runner.register_hook(Watch(failing))
        runner.train()

    with pytest.raises(InterruptedError):  # after checkpoint 4
        start(failing=True)
    start(failing=False, resume=True)
    assert masks == [(4, False)]


def test_call_time_starts_when_the_hook_is_created(numbers, tmp_path, clock):
    """Work before the first iteration, such as filling a pool, counts towards the call's time."""
    hook = {**HOOK, "call_minutes": 0.5}
    runner = Runner.from_cfg(budget_config(numbers, tmp_path, hook))
    clock.now += 29.0
    runner.train()
    assert runner.iter == 1
    # The budget begins with the first iteration.
    assert runner.message_hub.get_info("time_budget_used_seconds") == 10.0


def test_mask_can_stay_off(numbers, tmp_path, clock):
    # The clock is past the end when the last iteration begins.
    hook = {**HOOK, "mask_from": 1, "minutes": 0.75}
    runner = Runner.from_cfg(budget_config(numbers, tmp_path, hook))
    runner.model.decoder.with_mask = True
    runner.train()
    assert runner.optim_wrapper.param_groups[0]["lr"] == 0
    assert not runner.model.decoder.with_mask


def test_mask_can_be_on_from_the_beginning():
    hook = TimeBudgetHook(minutes=1, peak_lr=1.0, mask_from=0)
    model = SimpleNamespace(decoder=SimpleNamespace(with_mask=False))
    hook._set_mask(SimpleNamespace(model=model), 0.0)
    assert model.decoder.with_mask


def test_several_processes_are_refused(monkeypatch):
    monkeypatch.setattr(time_budget, "get_world_size", lambda: 2)
    with pytest.raises(RuntimeError, match="in one process, and these are 2"):
        TimeBudgetHook(minutes=1, peak_lr=1.0).before_train(None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(minutes=0), "minutes must be positive, got 0"),
        (dict(peak_lr=-1), "peak_lr must be positive, got -1"),
        (dict(final_lr=-0.5), "final_lr is a fraction of peak_lr, 0 to 1, got -0.5"),
        (dict(call_minutes=-1), "call_minutes must be positive, got -1"),
        (dict(warm_up=1), "warm_up is a fraction of the budget, 0 to below 1, got 1"),
        (dict(mask_from=2), "mask_from is a fraction of the budget, 0 to 1, got 2"),
    ],
)
def test_invalid_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        TimeBudgetHook(**{"minutes": 1, "peak_lr": 1.0, **options})


def test_checkpoints_hold_averaged_weights(numbers, tmp_path):
    """MMEngine's ``EMAHook`` averages LPV, and its checkpoints hold the average."""
    config = training_config(numbers, tmp_path)
    config.custom_hooks = [dict(type="EMAHook", momentum=0.1, update_buffers=True)]
    runner = Runner.from_cfg(config)
    runner.train()
    saved = torch.load(tmp_path / "iter_12.pth", weights_only=True)
    name = "decoder.classifiers.0.weight"
    trained = runner.model.state_dict()[name]
    assert torch.equal(saved["ema_state_dict"][f"module.{name}"], trained)
    assert not torch.equal(saved["state_dict"][name], trained)


def test_finished_training_is_not_continued(numbers, tmp_path, clock):
    Runner.from_cfg(budget_config(numbers, tmp_path, HOOK)).train()
    before = {file.name: file.read_bytes() for file in tmp_path.glob("*.pth")}
    config = budget_config(numbers, tmp_path, HOOK, resume=True)
    resumed = Runner.from_cfg(config)
    resumed.train()
    assert resumed.iter == 6
    assert {file.name: file.read_bytes() for file in tmp_path.glob("*.pth")} == before
    assert (tmp_path / "finished").is_file()


def test_logged_learning_rates_are_those_of_their_iterations(numbers, tmp_path, clock):
    class Used(Hook):
        priority = "VERY_LOW"

        def before_train_iter(self, runner, batch_idx, data_batch=None):
            used.append(runner.optim_wrapper.param_groups[0]["lr"])

        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            logged.append(runner.message_hub.get_scalar("train/lr").current())

    used, logged = [], []
    runner = Runner.from_cfg(budget_config(numbers, tmp_path, HOOK))
    runner.register_hook(Used())
    runner.train()
    assert logged == used
    assert len(set(used)) > 3
