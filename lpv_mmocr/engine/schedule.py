"""Whether a learning-rate schedule fits the length and the batch of its training."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from mmengine.config import Config
from mmengine.optim.scheduler.lr_scheduler import LRSchedulerMixin
from mmengine.runner import Runner
from mmocr.registry import PARAM_SCHEDULERS

from .time_budget import TimeBudgetHook

_ABSOLUTE_RATES = ("eta_max", "eta_min", "min_value")
"""Options of schedulers that are learning rates; others are factors of the optimiser's."""


def check_one_cycle_length(cfg: Config) -> None:
    """Check that one-cycle schedules end when the training does.

    PyTorch's and MMEngine's one cycle fails one step after its end, which is when a longer training
    has lasted as long as the schedule; a shorter one ends before the rate has come down. A schedule
    with an ``end`` of its own is part of a row of several and not looked at.

    Args:
        cfg: Config of a training.

    Raises:
        ValueError: If ``total_steps`` is missing, not what the training counts up to, or so few
            that the rate cannot rise.
    """
    for key, scheduler in _configs(cfg.get("param_scheduler")):
        if "OneCycle" not in str(scheduler["type"]) or "end" in scheduler:
            continue
        unit = "max_epochs" if scheduler.get("by_epoch", True) else "max_iters"
        length = cfg.train_cfg.get(unit)
        if length is None:  # counts in the other unit, which only the data can convert
            continue
        steps = length - scheduler.get("begin", 0)
        if scheduler.get("total_steps") != steps:
            raise ValueError(
                f"{key}.total_steps is {scheduler.get('total_steps')}, but train_cfg.{unit} is "
                f"{length}: the one-cycle schedule has to end when the training does. Set both, "
                f"as in --cfg-options train_cfg.{unit}={length} {key}.total_steps={steps}"
            )
        share = scheduler.get("pct_start", 0.3)
        if 0 < share * steps <= 1:  # 0: it does not rise, but begins at its highest
            raise ValueError(
                f"{key} has {steps} steps, of which the share pct_start={share} is for the rise of "
                f"the rate, and that is not enough: take {math.ceil(2 / share)} steps at least "
                f"(train_cfg.{unit} and {key}.total_steps), or a larger pct_start"
            )


def scale_absolute_rates(runner: Runner) -> None:
    """Scale the learning rates in the options of schedulers, where ``auto_scale_lr`` is enabled.

    MMEngine scales the optimiser's rate only. ``OneCycleLR`` does not look at that one: it goes to
    ``eta_max``.

    Args:
        runner: Runner whose training has not begun; its schedulers are changed in place.

    Raises:
        ValueError: If a :class:`TimeBudgetHook` sets the rate, which this does not scale.
    """
    scaling = runner.auto_scale_lr or {}
    if not scaling.get("enable"):
        return
    if any(isinstance(hook, TimeBudgetHook) for hook in runner.hooks):
        raise ValueError(
            "auto_scale_lr has no effect where TimeBudgetHook sets the learning rate: leave out "
            "--auto-scale-lr and set peak_lr of the hook"
        )
    batch = runner.world_size * runner.cfg.train_dataloader.batch_size
    factor = batch / scaling["base_batch_size"]
    for key, scheduler in _configs(runner.param_schedulers):
        if not _is_of_learning_rate(scheduler):
            continue
        for option in _ABSOLUTE_RATES:
            if isinstance(scheduler.get(option), (int, float)):
                scheduler[option] *= factor
                runner.logger.info(f"{key}.{option} is scaled to {scheduler[option]:.6g} as well")


def schedulers_of(given: Any, key: str = "param_scheduler") -> Iterator[tuple[str, Any]]:
    """Every scheduler with its key; several optimisers have a dict of lists.

    Args:
        given: Schedulers, or their configs, or the states that a checkpoint has of them.
        key: That of all of them.
    """
    if isinstance(given, (list, tuple)):
        for number, part in enumerate(given):
            yield from schedulers_of(part, f"{key}.{number}")
    elif isinstance(given, dict) and not given.keys() & {"type", "last_step"}:
        for name, part in given.items():
            yield from schedulers_of(part, f"{key}.{name}")
    elif given is not None:
        yield key, given


def _configs(given: Any) -> Iterator[tuple[str, dict]]:
    """Those schedulers that are yet to be built."""
    return ((key, config) for key, config in schedulers_of(given) if isinstance(config, dict))


def _is_of_learning_rate(scheduler: dict) -> bool:
    kind = scheduler["type"]
    found = PARAM_SCHEDULERS.get(kind) if isinstance(kind, str) else kind
    return found is not None and issubclass(found, LRSchedulerMixin)
