"""Schedules of a training run that is resumed with a changed config."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.optim.scheduler.param_scheduler import (
    ExponentialParamScheduler,
    MultiStepParamScheduler,
    OneCycleParamScheduler,
    StepParamScheduler,
)
from mmengine.runner import Runner

from .schedule import schedulers_of

_PROGRESS = frozenset({"last_step", "_global_step", "_last_value", "verbose"})
"""State of a scheduler that changes while it runs."""
_OF_ANY_LENGTH = (ExponentialParamScheduler, MultiStepParamScheduler, StepParamScheduler)
"""Schedulers for which ``end`` only determines when they stop."""


def _lengths(scheduler: Any, state: dict) -> frozenset[str]:
    """Return the keys of the state that depend on the run's length, to which ``end`` defaults."""
    if isinstance(scheduler, OneCycleParamScheduler):
        if state.get("total_steps") == scheduler.total_steps:
            return frozenset({"end"})
        return frozenset({"end", "total_steps", "_schedule_phases"})
    return frozenset({"end"} if isinstance(scheduler, _OF_ANY_LENGTH) else ())


class ResumedScheduleHook(Hook):
    """Hook that adapts schedules to a new length of a resumed run and warns of other changes.

    A checkpoint stores the state of the schedulers, and MMEngine restores it over what the config
    specifies: a longer run would continue where the shorter one had ended, at its lowest learning
    rate, and a changed learning rate has no effect.

    Raises:
        ValueError: On resuming, if the checkpoint has other schedulers than the config.
    """

    def __init__(self) -> None:
        self._changed: list[Any] = []

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Remove lengths from the schedulers' saved state, and compare the rest."""
        if checkpoint.get("param_schedulers") is None:  # none were saved; they start from scratch
            return
        saved = dict(schedulers_of(checkpoint["param_schedulers"]))
        built = dict(schedulers_of(runner.param_schedulers))
        if saved.keys() != built.keys():
            raise ValueError(
                f"the config has the schedulers {', '.join(built) or 'none'}, the checkpoint has "
                f"{', '.join(saved) or 'none'}. {_ADVICE}"
            )
        for key, scheduler in built.items():
            state, kept = saved[key], []
            free = _lengths(scheduler, state)
            for name, value in scheduler.state_dict().items():
                if name in _PROGRESS or callable(value) or state.get(name) == value:
                    continue
                if name not in state and value is not None:
                    raise ValueError(f"{key} is of another kind in the checkpoint. {_ADVICE}")
                if name not in free:
                    kept.append(f"{name} {state[name]} (config: {value})")
                    continue
                if name == "total_steps":
                    # A one-cycle schedule that has ended no longer counts last_step.
                    state["last_step"] = max(-1, state["_global_step"] - scheduler.begin)
                    runner.logger.info(f"{key} now has {value} steps, {state[name]} before")
                del state[name]
                self._changed.append(scheduler)
            if kept:
                runner.logger.warning(f"{key} keeps {', '.join(kept)}. {_ADVICE}")

    def before_train(self, runner: Runner) -> None:
        """Set what schedulers of another length would have set for the next iteration."""
        for scheduler in self._changed:
            _catch_up(scheduler)
        self._changed.clear()


def _catch_up(scheduler: Any) -> None:
    """Repeat the steps that a scheduler did not take because its end had come.

    Without that, the next iteration has the learning rate of the old schedule, and a schedule that
    had ended remains late by the steps that it no longer counted.
    """
    if isinstance(scheduler, OneCycleParamScheduler):  # its values depend on the step alone
        if scheduler.last_step >= 0 and scheduler._global_step < scheduler.end:
            _set_values(scheduler)
        return
    current = min(scheduler._global_step, scheduler.end - 1) - scheduler.begin
    while scheduler.last_step < current:
        scheduler.last_step += 1
        _set_values(scheduler)


def _set_values(scheduler: Any) -> None:
    values = scheduler._get_value()
    for group, value in zip(scheduler.optimizer.param_groups, values, strict=True):
        group[scheduler.param_name] = value


_ADVICE = (
    "A resumed training run keeps its original schedules and learning rates, except for the length "
    "of a one-cycle schedule. To change them, start a new training run from these weights: use "
    "--cfg-options load_from=CHECKPOINT instead of --resume"
)
