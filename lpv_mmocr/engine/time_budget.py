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
"""File that is created in the work folder once the budget is used up."""

_USED = "time_budget_used_seconds"


@HOOKS.register_module()
class TimeBudgetHook(Hook):
    """Hook that schedules learning rate, mask and end of a training run by wall-clock time.

    For machines that are available for a limited time and whose speed is not known in advance: the
    schedule is a function of the fraction of the budget used so far, so the learning rate has
    decayed when the time is up. Checkpoints store the time used; time between two runs does not
    count.

    The learning rate rises linearly during ``warm_up``, then decays like a cosine. Both training
    stages of LPV (paper section 3.5) fit into one run: the mask of the GLRMs is off before
    ``mask_from``, and on from there.

    Supports only one process: the clocks of several would give them different learning rates and
    ends.

    Args:
        minutes: Time budget in minutes.
        peak_lr: Maximum learning rate; for parameters with an ``lr_mult`` it is multiplied by that.
        warm_up: Fraction of the budget in which the learning rate rises.
        final_lr: Learning rate at the end, as a fraction of ``peak_lr``.
        mask_from: Fraction of the budget after which the mask is on; 0 for the complete run, 1 for
            none of it, None to leave it as configured.
        call_minutes: Minutes after the creation of this hook at which to end the run cleanly, to be
            continued with ``--resume``. Unlike the budget, this includes everything before the
            first iteration, such as filling a pool of images, but not the checkpoint that is
            written at the end.

    Raises:
        ValueError: If an argument is out of range; when training starts, if the config has
            schedulers.
        RuntimeError: When training starts in several processes.
    """

    # Before the hook that records the learning rate for the log, and the iteration timer.
    priority = "HIGHEST"

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
        positive = dict(minutes=minutes, peak_lr=peak_lr, call_minutes=call_minutes)
        for name, value in positive.items():
            if value is not None and value <= 0:
                raise ValueError(f"{name} must be positive, got {value}")
        if not 0 <= final_lr <= 1:
            raise ValueError(f"final_lr is a fraction of peak_lr, 0 to 1, got {final_lr}")
        if not 0 <= warm_up < 1:
            raise ValueError(f"warm_up is a fraction of the budget, 0 to below 1, got {warm_up}")
        if mask_from is not None and not 0 <= mask_from <= 1:
            raise ValueError(f"mask_from is a fraction of the budget, 0 to 1, got {mask_from}")
        self.budget = 60.0 * minutes
        self.call_seconds = math.inf if call_minutes is None else 60.0 * call_minutes
        self.peak_lr = peak_lr
        self.warm_up = warm_up
        self.final_lr = final_lr
        self.mask_from = mask_from
        # Runners create their hooks at their own start, soon after the process has started.
        self._call_start = time.monotonic()
        self._start: float | None = None  # of the training in this run
        self._used_before = 0.0
        self._shares: list[float] = []

    def before_run(self, runner: Runner) -> None:
        """Store each parameter group's learning rate relative to the optimiser's."""
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
                "training without a launcher"
            )
        if runner.param_schedulers:
            raise ValueError(
                "TimeBudgetHook sets the learning rate itself: set param_scheduler = None in the "
                "config"
            )
        self._used_before = float(runner.message_hub.get_info(_USED, 0.0))
        self._start = None
        if self._used_before < self.budget:  # a new run, or one that was given more time
            Path(runner.work_dir, FINISHED).unlink(missing_ok=True)
        else:
            runner.logger.info(f"All {self.budget / 60:.1f} minutes are used: nothing is trained")
            runner.train_loop.stop_training = True
        # For a validation that comes before the first iteration.
        self._set_mask(runner, min(self._used_before / self.budget, 1.0))

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        """Set the learning rate and the mask."""
        if self._start is None:  # after the wait for the first batch, which does not count
            self._start = time.monotonic()
        used = self._used_before + time.monotonic() - self._start
        progress = min(used / self.budget, 1.0)
        for group, share in zip(runner.optim_wrapper.param_groups, self._shares, strict=True):
            group["lr"] = share * self.learning_rate(progress)
        self._set_mask(runner, progress)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Record the time used, and end the run when it is up."""
        now = time.monotonic()
        used = self._used_before + now - self._start
        runner.message_hub.update_info(_USED, used)
        if used >= self.budget:
            runner.train_loop.stop_training = True
        elif now - self._call_start >= self.call_seconds:
            runner.logger.info(
                f"{used / 60:.1f} of {self.budget / 60:.1f} minutes are used; "
                "to continue, resume this run (--resume of tools/train.py)"
            )
            runner.train_loop.stop_training = True

    def after_run(self, runner: Runner) -> None:
        """Create a marker file for scripts once the last checkpoint is written."""
        if runner.message_hub.get_info(_USED, 0.0) >= self.budget:
            Path(runner.work_dir, FINISHED).touch()

    def _set_mask(self, runner: Runner, progress: float) -> None:
        if self.mask_from is not None:
            model = without_wrapper(runner.model)
            model.decoder.with_mask = self.mask_from < 1 and progress >= self.mask_from

    def learning_rate(self, progress: float) -> float:
        """Return the learning rate at a fraction of the budget, 0 to 1."""
        if progress < self.warm_up:
            return self.peak_lr * max(progress / self.warm_up, 0.01)
        phase = (progress - self.warm_up) / (1 - self.warm_up)
        fall = (1 + math.cos(math.pi * phase)) / 2
        return self.peak_lr * (self.final_lr + (1 - self.final_lr) * fall)
