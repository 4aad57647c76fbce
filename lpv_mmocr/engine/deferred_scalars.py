"""Logging without GPU synchronisation in every iteration.

MMEngine reads the value of every loss, and of the gradient norm, in every iteration. Each time the
host waits until the GPU has caught up, and then the GPU waits for the host's next kernel launch.
Here values are copied to the host asynchronously, and only waited for when a line is logged.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

import torch
from mmengine.hooks import LoggerHook, RuntimeInfoHook
from mmengine.logging import MessageHub
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from mmocr.registry import HOOKS, OPTIM_WRAPPERS

_IMPLEMENTATION = ("fused", "foreach", "capturable")
"""Options of PyTorch's optimisers that change how a step is computed, but not its result."""


class AsyncCopy(NamedTuple):
    """Values being copied from the device to the host.

    Attributes:
        on_host: Destination of the copy, float32 (K,).
        arrived: CUDA event that marks the end of the copy; None if they were on it already.
    """

    on_host: torch.Tensor
    arrived: torch.cuda.Event | None

    @classmethod
    def send(cls, values: torch.Tensor) -> AsyncCopy:
        """Start copying detached values of shape (K,)."""
        if not values.is_cuda:
            return cls(values.clone(), None)
        on_host = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
        on_host.copy_(values, non_blocking=True)
        arrived = torch.cuda.Event()
        arrived.record()
        return cls(on_host, arrived)

    def has_arrived(self) -> bool:
        """Return whether :meth:`read` would return without waiting."""
        return self.arrived is None or self.arrived.query()

    def read(self) -> list[float]:
        """Wait for the values and return them."""
        if self.arrived is not None:
            self.arrived.synchronize()
        return self.on_host.tolist()


class DeferredScalars:
    """Scalars of training steps, recorded in MMEngine's message hub once they are on the host.

    Args:
        message_hub: Message hub from which the log reads them.
        finite_only: Whether to skip non-finite values; one would make the average non-finite.
    """

    def __init__(self, message_hub: MessageHub, *, finite_only: bool = False) -> None:
        self._hub = message_hub
        self._finite_only = finite_only
        self._queue: deque[tuple[list[str], AsyncCopy]] = deque()

    def add(self, scalars: Mapping[str, torch.Tensor]) -> None:
        """Queue scalars by key: one-element tensors, all on one device."""
        if scalars:
            values = torch.stack([value.detach().float().reshape(()) for value in scalars.values()])
            self._queue.append((list(scalars), AsyncCopy.send(values)))

    def flush(self, *, wait: bool) -> None:
        """Record the scalars that have arrived, in order; with ``wait``, all of them."""
        while self._queue and (wait or self._queue[0][1].has_arrived()):
            names, travelling = self._queue.popleft()
            for name, value in zip(names, travelling.read(), strict=True):
                if not self._finite_only or math.isfinite(value):
                    self._hub.update_scalar(name, value)


@OPTIM_WRAPPERS.register_module()
class DeferredOptimWrapper(OptimWrapper):
    """``OptimWrapper`` whose gradient clipping does not synchronise with the GPU.

    It keeps the gradient norm as a tensor instead of reading its value, and needs
    ``DeferredRuntimeInfoHook`` to log it.

    Attributes:
        grad_norm: Norm of the last clipped gradient, a tensor on the device; None before the first
            step and after the hook has queued it for the log.
        logs_finite_only: Whether non-finite losses and norms are left out of the log; set to True
            by ``NonFiniteGuardHook`` if it skips their steps.
    """

    grad_norm: torch.Tensor | None = None
    logs_finite_only: bool = False

    def load_state_dict(self, state_dict: dict) -> None:
        """Load the optimiser's state, and keep the implementation of its step.

        PyTorch would take over the checkpoint's, such as the slow one of a run without ``fused``.

        Args:
            state_dict: State dict of an ``OptimWrapper``.
        """
        ours, saved = self.optimizer.param_groups, state_dict["param_groups"]
        if len(ours) == len(saved):  # PyTorch reports other numbers
            kept = [{key: group[key] for key in _IMPLEMENTATION if key in group} for group in ours]
            saved = [{**group, **own} for group, own in zip(saved, kept, strict=True)]
        super().load_state_dict({**state_dict, "param_groups": saved})

    def _clip_grad(self) -> None:
        parameters = [
            parameter
            for group in self.optimizer.param_groups
            for parameter in group["params"]
            if parameter.requires_grad and parameter.grad is not None
        ]
        if parameters:
            norm = self.clip_func(parameters, **self.clip_grad_kwargs)
            self.grad_norm = norm.detach() if isinstance(norm, torch.Tensor) else None


@HOOKS.register_module()
class DeferredRuntimeInfoHook(RuntimeInfoHook):
    """``RuntimeInfoHook`` that waits for losses only when they are logged.

    It replaces that hook in a config:
    ``default_hooks = dict(runtime_info=dict(type="DeferredRuntimeInfoHook"))``. It also keeps the
    histories of scalars short: MMEngine copies the complete history, of up to a million values,
    for every value that it adds.

    Args:
        history: Number of values to keep of each scalar; larger than any window of the log
            processor.
    """

    def __init__(self, *, history: int = 10_000) -> None:
        super().__init__()
        self.history = history
        self._scalars: DeferredScalars | None = None
        self._interval = 1

    def before_train(self, runner: Runner) -> None:
        """Determine the logging interval, and record the config of this run."""
        super().before_train(runner)
        if runner._resume:  # the hub is the checkpoint's, whose run may have had another config
            runner.message_hub.update_info("cfg", runner.cfg.pretty_text)
        finite_only = getattr(runner.optim_wrapper, "logs_finite_only", False)
        self._scalars = DeferredScalars(runner.message_hub, finite_only=finite_only)
        intervals = [hook.interval for hook in runner.hooks if isinstance(hook, LoggerHook)]
        self._interval = min(intervals, default=1)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Queue the losses and the gradient norm of an iteration."""
        scalars = {f"train/{name}": value for name, value in (outputs or {}).items()}
        norm = getattr(runner.optim_wrapper, "grad_norm", None)
        if norm is not None:
            runner.optim_wrapper.grad_norm = None
            if outputs:  # otherwise the step was skipped
                scalars[f"train/{runner.optim_wrapper.grad_name}"] = norm
        self._scalars.add(scalars)
        logged = self.every_n_train_iters(runner, self._interval) or self.is_last_train_iter(runner)
        self._scalars.flush(wait=logged)
        if logged:
            for history in runner.message_hub.log_scalars.values():
                history.max_length = self.history

    def after_train(self, runner: Runner) -> None:
        """Record all remaining scalars."""
        self._scalars.flush(wait=True)
        super().after_train(runner)
