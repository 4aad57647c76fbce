"""Tests of fitting schedules to the length and batch size of a training run."""

from __future__ import annotations

import logging
import re
from types import SimpleNamespace

from lpv_mmocr.engine.schedule import (
    check_one_cycle_length,
    check_signs,
    scale_absolute_rates,
    schedulers_of,
)

import pytest
from mmengine.config import Config
from mmengine.runner import Runner
from training_cases import ONE_CYCLE, RateRecorder, training_config, write_numbers


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("schedule")
    write_numbers(folder / "train", first=100, count=12)
    write_numbers(folder / "val", first=200, count=4)
    return folder


def rates_of_training(data, work_dir, schedulers, *, base_batch_size: int | None) -> list[float]:
    """Return the learning rates of a training run with batches of 6."""
    config = training_config(data, work_dir, param_scheduler=schedulers)
    config.val_dataloader = config.val_cfg = config.val_evaluator = None
    if base_batch_size is not None:
        config.auto_scale_lr = dict(base_batch_size=base_batch_size, enable=True)
    runner = Runner.from_cfg(config)
    scale_absolute_rates(runner)
    recorder = RateRecorder()
    runner.register_hook(recorder)
    runner.train()
    return recorder.rates


@pytest.mark.parametrize(
    "schedulers",
    [
        [ONE_CYCLE],
        [dict(type="CosineAnnealingLR", by_epoch=False, T_max=12, eta_min=4e-4)],
        [dict(type="PolyLR", by_epoch=False, end=12, eta_min=4e-4)],
        [dict(type="LinearLR", by_epoch=False, start_factor=0.5, end=6)],
    ],
    ids=lambda schedulers: schedulers[0]["type"],
)
def test_learning_rates_scale_with_the_batch_size(data, tmp_path, schedulers):
    plain = rates_of_training(data, tmp_path / "plain", schedulers, base_batch_size=None)
    scaled = rates_of_training(data, tmp_path / "scaled", schedulers, base_batch_size=12)
    assert len(plain) == 12 and len(set(plain)) > 1
    assert scaled == pytest.approx([rate / 2 for rate in plain])


def test_batch_size_counts_all_processes():
    runner = SimpleNamespace(
        auto_scale_lr=dict(enable=True, base_batch_size=6),
        world_size=4,
        cfg=Config(dict(train_dataloader=dict(batch_size=6))),
        hooks=[],
        param_schedulers=[dict(ONE_CYCLE)],
        logger=logging.getLogger("processes"),
    )
    scale_absolute_rates(runner)
    assert runner.param_schedulers[0]["eta_max"] == pytest.approx(4 * ONE_CYCLE["eta_max"])


def test_momentum_schedules_are_not_scaled(data, tmp_path):
    momentum = dict(type="CosineAnnealingMomentum", by_epoch=False, T_max=12, eta_min=0.4)
    config = training_config(data, tmp_path, param_scheduler=[momentum])
    config.auto_scale_lr = dict(base_batch_size=12, enable=True)
    runner = Runner.from_cfg(config)
    scale_absolute_rates(runner)
    assert runner.param_schedulers == [momentum]


def test_disabled_scaling_changes_nothing(data, tmp_path):
    config = training_config(data, tmp_path, param_scheduler=[ONE_CYCLE])
    config.auto_scale_lr = dict(base_batch_size=12)
    runner = Runner.from_cfg(config)
    scale_absolute_rates(runner)
    assert runner.param_schedulers == [ONE_CYCLE]


def test_scaling_with_a_time_budget_is_refused(data, tmp_path):
    budget = [dict(type="TimeBudgetHook", minutes=1, peak_lr=1e-3)]
    config = training_config(data, tmp_path, param_scheduler=None, custom_hooks=budget)
    config.auto_scale_lr = dict(base_batch_size=12, enable=True)
    with pytest.raises(ValueError, match="no effect where TimeBudgetHook sets the learning rate"):
        scale_absolute_rates(Runner.from_cfg(config))


def one_cycle(train_cfg: dict, **options) -> Config:
    return Config(dict(train_cfg=train_cfg, param_scheduler=[{**ONE_CYCLE, **options}]))


@pytest.mark.parametrize("max_iters", [8, 20])
def test_length_that_does_not_match_is_refused(max_iters):
    wanted = (
        f"param_scheduler.0.total_steps is 12, but train_cfg.max_iters is {max_iters}: the "
        "one-cycle schedule has to end when training does. Set both, as in --cfg-options "
        f"train_cfg.max_iters={max_iters} param_scheduler.0.total_steps={max_iters}"
    )
    with pytest.raises(ValueError, match=re.escape(wanted)):
        check_one_cycle_length(one_cycle(dict(max_iters=max_iters)))


def test_schedules_of_several_optimisers_are_checked():
    cfg = Config(dict(train_cfg=dict(max_iters=8), param_scheduler=dict(encoder=[ONE_CYCLE])))
    with pytest.raises(ValueError, match=r"^param_scheduler\.encoder\.0\.total_steps is 12, but"):
        check_one_cycle_length(cfg)


def test_schedules_count_epochs_by_default():
    schedule = {key: value for key, value in ONE_CYCLE.items() if key != "by_epoch"}
    with pytest.raises(ValueError, match=r"total_steps is 12, but train_cfg\.max_epochs is 8"):
        check_one_cycle_length(Config(dict(train_cfg=dict(max_epochs=8), param_scheduler=schedule)))


def test_too_short_or_missing_length_is_refused():
    few = one_cycle(dict(max_iters=4), total_steps=4)
    with pytest.raises(ValueError, match=r"has 4 steps, .* use at least 8 steps"):
        check_one_cycle_length(few)
    with pytest.raises(ValueError, match="total_steps is None"):
        check_one_cycle_length(one_cycle(dict(max_iters=12), total_steps=None))


@pytest.mark.parametrize(
    ("train_cfg", "options"),
    [
        (dict(max_iters=12), {}),
        (dict(max_iters=15), dict(begin=3)),
        (dict(max_iters=12), dict(pct_start=0.0)),  # does not rise
        (dict(max_iters=30), dict(end=12)),  # other schedules may follow
        (dict(max_epochs=12), dict(by_epoch=True, convert_to_iter_based=True)),
        (dict(max_epochs=3), {}),  # iterations of an epoch are not known here
    ],
)
def test_length_that_matches_is_accepted(train_cfg, options):
    check_one_cycle_length(one_cycle(train_cfg, **options))


def test_length_of_other_schedules_is_not_checked():
    drop = dict(type="MultiStepLR", by_epoch=False, milestones=[7], gamma=0.1)
    check_one_cycle_length(Config(dict(train_cfg=dict(max_iters=5), param_scheduler=[drop])))
    check_one_cycle_length(Config(dict(train_cfg=dict(max_iters=5), param_scheduler=None)))


def test_keys_are_equal_for_configs_and_checkpoint_states():
    states = dict(encoder=[dict(last_step=3, milestones={3: 1})], decoder=[dict(last_step=3)])
    configs = dict(encoder=[ONE_CYCLE], decoder=[ONE_CYCLE])
    keys = ["param_scheduler.encoder.0", "param_scheduler.decoder.0"]
    assert [key for key, _ in schedulers_of(states)] == keys
    assert [key for key, _ in schedulers_of(configs)] == keys
    assert list(schedulers_of(None)) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            dict(optim_wrapper=dict(clip_grad=dict(max_norm=-1))),
            "max_norm must be positive, got -1",
        ),
        (dict(optim_wrapper=dict(clip_grad=dict(max_norm=0))), "max_norm must be positive, got 0"),
        (
            dict(param_scheduler=[dict(type="OneCycleLR", eta_max=-0.1)]),
            r"param_scheduler\.0\.eta_max must not be negative",
        ),
    ],
)
def test_numbers_that_turn_the_gradient_round_are_refused(changes, said):
    plain = dict(optim_wrapper=dict(clip_grad=None), param_scheduler=[dict(type="OneCycleLR")])
    check_signs(Config(plain))
    with pytest.raises(ValueError, match=said):
        check_signs(Config({**plain, **changes}))
