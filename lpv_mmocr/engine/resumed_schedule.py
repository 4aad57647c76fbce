"""Learning rates of a training that goes on under a config that was changed meanwhile."""

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
"""What changes in a scheduler while it runs."""
_OF_ANY_LENGTH = (ExponentialParamScheduler, MultiStepParamScheduler, StepParamScheduler)
"""Schedulers for which ``end`` says when they stop, and nothing else."""


def _lengths(scheduler: Any, state: dict) -> frozenset[str]:
    """What another length of the training may change; the default of ``end`` is that length."""
    if isinstance(scheduler, OneCycleParamScheduler):
        if state.get("total_steps") == scheduler.total_steps:
            return frozenset({"end"})
        return frozenset({"end", "total_steps", "_schedule_phases"})
    return frozenset({"end"} if isinstance(scheduler, _OF_ANY_LENGTH) else ())


class ResumedScheduleHook(Hook):
    """Lets a schedule go on in a training of another length, and says what else stays as it was.

    A checkpoint holds the schedulers as they were, and MMEngine puts them back over those of the
    config: a longer training would go on where the shorter one had ended, at its lowest rate, and
    another rate has no effect.

    Raises:
        ValueError: When a run is resumed, if it had other schedulers.
    """

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Take lengths out of what the checkpoint says of the schedulers; compare the rest."""
        if checkpoint.get("param_schedulers") is None:  # none were saved; they begin anew
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
                    kept.append(f"{name} {state[name]} (by the config {value})")
                    continue
                if name == "total_steps":
                    # At its end it was not counted on.
                    state["last_step"] = max(-1, state["_global_step"] - scheduler.begin)
                    runner.logger.info(f"{key} now has {value} steps, {state[name]} before")
                del state[name]
            if kept:
                runner.logger.warning(f"{key} keeps {', '.join(kept)}. {_ADVICE}")


_ADVICE = (
    "A resumed training keeps the schedules and rates that it began with, but for the length of a "
    "one-cycle schedule. For others begin a new training with these weights, by --cfg-options "
    "load_from=CHECKPOINT in the place of --resume"
)
