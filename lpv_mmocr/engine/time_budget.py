"""Training for a given time instead of a given number of iterations."""

from __future__ import annotations

import math
import time
from pathlib import Path

from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from mmocr.registry import HOOKS

from .distributed import without_wrapper

FINISHED = "finished"
"""File that stands in the work folder once the whole budget is used."""

_USED = "time_budget_used_seconds"


@HOOKS.register_module()
class TimeBudgetHook(Hook):
    """Fits learning rate, mask and end of a training into minutes of training time.

    For a machine that is there for a limited time, and whose speed is not known before: the
    schedule is a function of the part of the budget that is used, so that the learning rate has
    come down when the time is up. Time between two runs does not count: checkpoints hold what is
    used.

    The rate rises linearly during ``warm_up``, then falls like a cosine. Both training stages of
    LPV (paper section 3.5) fit into one run: the mask of the GLRMs is off before ``mask_from``,
    and on from there.

    It is for one process: the clocks of several would part their learning rates and their ends.

    Args:
        minutes: The budget.
        peak_lr: Highest learning rate; that of parameters with an ``lr_mult`` is so many times it.
        warm_up: Part of the budget in which the rate rises.
        final_lr: Learning rate at the end, as a part of ``peak_lr``.
        mask_from: Part of the budget after which the mask is on; 0 for all of the training, 1 for
            none of it, None to leave it as the config has it.
        call_minutes: End the run in good order when this hook is as old, to go on with
            ``--resume``. Unlike the budget it counts all that comes before the first iteration,
            such as the filling of a pool of pictures. A checkpoint is yet to be written then.

    Raises:
        ValueError: If an argument is out of range.
        RuntimeError: When training begins in several processes.
        ValueError: When it begins with schedulers of the config.
    """

    # Before the iteration timer and the log.
    priority = "VERY_HIGH"

    def __init__(
        self,
        *,
        minutes: float,
        peak_lr: float,
        warm_up: float = 0.05,
        final_lr: float = 0.0,
        mask_from: float | None = None,
        call_minutes: float | None = None,
    ) -> None:
        for name, value in (("minutes", minutes), ("call_minutes", call_minutes)):
            if value is not None and value <= 0:
                raise ValueError(f"{name} must be positive, got {value}")
        if not 0 <= warm_up < 1:
            raise ValueError(f"warm_up is a part of the budget, from 0 to below 1, got {warm_up}")
        if mask_from is not None and not 0 <= mask_from <= 1:
            raise ValueError(f"mask_from is a part of the budget, from 0 to 1, got {mask_from}")
        self.budget = 60.0 * minutes
        self.call_seconds = math.inf if call_minutes is None else 60.0 * call_minutes
        self.peak_lr = peak_lr
        self.warm_up = warm_up
        self.final_lr = final_lr
        self.mask_from = mask_from
        # Runners make their hooks at their own start, soon after that of the process.
        self._call_start = time.monotonic()

    def before_run(self, runner: Runner) -> None:
        """Note what share of the rate each group of parameters has, by the config."""
        if not isinstance(runner.optim_wrapper, OptimWrapper):  # a test
            return
        whole = runner.optim_wrapper.optimizer.defaults["lr"]
        groups = runner.optim_wrapper.param_groups
        self._shares = [group["lr"] / whole if whole else 1.0 for group in groups]

    def before_train(self, runner: Runner) -> None:
        """Start the clock where the last run stopped it, and set the mask."""
        if get_world_size() > 1:
            raise RuntimeError(
                f"TimeBudgetHook trains in one process, and these are {get_world_size()}: start "
                "the training without a launcher"
            )
        if runner.param_schedulers:
            raise ValueError(
                "TimeBudgetHook sets the learning rate itself: the config has to have "
                "param_scheduler = None"
            )
        self._used_before = float(runner.message_hub.get_info(_USED, 0.0))
        self._start: float | None = None
        if self._used_before < self.budget:  # a new run, or one that was given more time
            Path(runner.work_dir, FINISHED).unlink(missing_ok=True)
        # For a validation that comes before the first iteration.
        self._set_mask(runner, min(self._used_before / self.budget, 1.0))

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        """Set the learning rate and the mask."""
        if self._start is None:  # behind the wait for the first batch
            self._start = time.monotonic()
        used = self._used_before + time.monotonic() - self._start
        progress = min(used / self.budget, 1.0)
        for group, share in zip(runner.optim_wrapper.param_groups, self._shares, strict=True):
            group["lr"] = share * self.rate(progress)
        self._set_mask(runner, progress)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Note the time, and end the run when it is up."""
        now = time.monotonic()
        used = self._used_before + now - self._start
        runner.message_hub.update_info(_USED, used)
        if used >= self.budget:
            runner.train_loop.stop_training = True
        elif now - self._call_start >= self.call_seconds:
            runner.logger.info(
                f"{used / 60:.1f} of {self.budget / 60:.1f} minutes are used; "
                "the same command with --resume goes on"
            )
            runner.train_loop.stop_training = True

    def after_run(self, runner: Runner) -> None:
        """Leave a sign for scripts once the last checkpoint is written."""
        if runner.message_hub.get_info(_USED, 0.0) >= self.budget:
            Path(runner.work_dir, FINISHED).touch()

    def _set_mask(self, runner: Runner, progress: float) -> None:
        if self.mask_from is not None:
            model = without_wrapper(runner.model)
            model.decoder.with_mask = self.mask_from < 1 and progress >= self.mask_from

    def rate(self, progress: float) -> float:
        """Learning rate when a part of the budget is used, 0 to 1."""
        if progress < self.warm_up:
            return self.peak_lr * max(progress / self.warm_up, 0.01)
        phase = (progress - self.warm_up) / (1 - self.warm_up)
        fall = (1 + math.cos(math.pi * phase)) / 2
        return self.peak_lr * (self.final_lr + (1 - self.final_lr) * fall)
