"""Check of schedules against the run's length, and scaling of learning rates to its batch."""

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
"""Scheduler options that are learning rates; others are factors of the optimiser's."""


def check_one_cycle_length(cfg: Config) -> None:
    """Check that one-cycle schedules end when the training run does.

    PyTorch's and MMEngine's one-cycle schedules fail one step after their end, which a longer run
    reaches; a shorter run ends before the learning rate has decayed. A schedule with its own
    ``end`` is part of a sequence of schedules and is not checked.

    Args:
        cfg: Config of a training run.

    Raises:
        ValueError: If ``total_steps`` is missing, differs from the length of the run, or is too
            small for the learning rate to rise.
    """
    for key, scheduler in _configs(cfg.get("param_scheduler")):
        if "OneCycle" not in str(scheduler["type"]) or "end" in scheduler:
            continue
        unit = "max_epochs" if scheduler.get("by_epoch", True) else "max_iters"
        length = cfg.train_cfg.get(unit)
        if length is None:  # the run counts in the other unit; converting it needs the dataset
            continue
        steps = length - scheduler.get("begin", 0)
        if scheduler.get("total_steps") != steps:
            raise ValueError(
                f"{key}.total_steps is {scheduler.get('total_steps')}, but train_cfg.{unit} is "
                f"{length}: the one-cycle schedule has to end when training does. Set both, as in "
                f"--cfg-options train_cfg.{unit}={length} {key}.total_steps={steps}"
            )
        share = scheduler.get("pct_start", 0.3)
        if 0 < share * steps <= 1:  # 0: it does not rise, but starts at its maximum
            raise ValueError(
                f"{key} has {steps} steps, and pct_start={share} of them are too few for the "
                f"learning rate to rise: use at least {math.ceil(2 / share)} steps "
                f"(train_cfg.{unit} and {key}.total_steps), or a larger pct_start"
            )


def check_signs(cfg: Config) -> None:
    """Check that no number turns the gradient round.

    Args:
        cfg: Config of a training run.

    Raises:
        ValueError: If ``max_norm`` of ``clip_grad`` is not positive, or a scheduler's learning rate
            is negative.
    """
    limit = (cfg.optim_wrapper.get("clip_grad") or {}).get("max_norm", 1.0)
    if not limit > 0:
        raise ValueError(f"optim_wrapper.clip_grad.max_norm must be positive, got {limit}")
    for key, scheduler in _configs(cfg.get("param_scheduler")):
        for name in _ABSOLUTE_RATES:
            if scheduler.get(name, 0) < 0:
                raise ValueError(f"{key}.{name} must not be negative, got {scheduler[name]}")


def scale_absolute_rates(runner: Runner) -> None:
    """Scale learning rates in the options of schedulers if ``auto_scale_lr`` is enabled.

    MMEngine scales only the optimiser's learning rate, which ``OneCycleLR`` ignores: it rises to
    ``eta_max``.

    Args:
        runner: Runner whose training has not started; its schedulers are changed in place.

    Raises:
        ValueError: If a :class:`TimeBudgetHook` sets the learning rate, which is not scaled.
    """
    scaling = runner.auto_scale_lr or {}
    if not scaling.get("enable"):
        return
    if any(isinstance(hook, TimeBudgetHook) for hook in runner.hooks):
        raise ValueError(
            "auto_scale_lr has no effect where TimeBudgetHook sets the learning rate: omit "
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
    """Yield every scheduler with its key; with several optimisers there is a dict of lists.

    Args:
        given: Schedulers, their configs, or their states in a checkpoint.
        key: Key of ``given`` itself.
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
    """Yield the schedulers that are configs, not built yet."""
    return ((key, config) for key, config in schedulers_of(given) if isinstance(config, dict))


def _is_of_learning_rate(scheduler: dict) -> bool:
    kind = scheduler["type"]
    found = PARAM_SCHEDULERS.get(kind) if isinstance(kind, str) else kind
    return found is not None and issubclass(found, LRSchedulerMixin)
