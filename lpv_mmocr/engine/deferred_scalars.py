"""Logging that does not make a GPU wait.

MMEngine asks for the value of every loss, and of the gradient norm, in every iteration. Each time
the host waits until the GPU has caught up, and then the GPU waits for the host's next order. Here
values travel to the host on their own time, and are only waited for when a line is logged.
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


class Travelling(NamedTuple):
    """Values on their way from the device to the host.

    Attributes:
        on_host: Where they arrive, float32 (K,).
        arrived: The event of their arrival; None where they were on the host already.
    """

    on_host: torch.Tensor
    arrived: torch.cuda.Event | None

    @classmethod
    def send(cls, values: torch.Tensor) -> Travelling:
        """Start the journey of detached values of shape (K,)."""
        if not values.is_cuda:
            return cls(values.clone(), None)
        on_host = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
        on_host.copy_(values, non_blocking=True)
        arrived = torch.cuda.Event()
        arrived.record()
        return cls(on_host, arrived)

    def has_arrived(self) -> bool:
        """Whether :meth:`read` would not wait."""
        return self.arrived is None or self.arrived.query()

    def read(self) -> list[float]:
        """Wait for the values and return them."""
        if self.arrived is not None:
            self.arrived.synchronize()
        return self.on_host.tolist()


class DeferredScalars:
    """Scalars of training steps, noted in MMEngine's message hub when they have arrived.

    Args:
        message_hub: Where the log looks for them.
        finite_only: Skip values that are not finite; one would make the whole average so.
    """

    def __init__(self, message_hub: MessageHub, *, finite_only: bool = False) -> None:
        self._hub = message_hub
        self._finite_only = finite_only
        self._queue: deque[tuple[list[str], Travelling]] = deque()

    def add(self, scalars: Mapping[str, torch.Tensor]) -> None:
        """Note scalars, by key; tensors of one element on one device."""
        if scalars:
            values = torch.stack([value.detach().float().reshape(()) for value in scalars.values()])
            self._queue.append((list(scalars), Travelling.send(values)))

    def flush(self, *, wait: bool) -> None:
        """Pass on what has arrived, in order; with ``wait`` everything."""
        while self._queue and (wait or self._queue[0][1].has_arrived()):
            names, travelling = self._queue.popleft()
            for name, value in zip(names, travelling.read(), strict=True):
                if not self._finite_only or math.isfinite(value):
                    self._hub.update_scalar(name, value)


@OPTIM_WRAPPERS.register_module()
class DeferredOptimWrapper(OptimWrapper):
    """MMEngine's ``OptimWrapper``, whose gradient clipping does not make a GPU wait.

    It keeps the gradient norm as a tensor instead of asking for its value, and needs
    ``DeferredRuntimeInfoHook``, which logs it.

    Attributes:
        grad_norm: Norm of the last clipped gradient, a tensor on the device; None after it was
            logged, and before the first step.
        logs_finite_only: Whether losses and norms that are not finite stay out of the log, where
            their steps are left out.
    """

    grad_norm: torch.Tensor | None = None
    logs_finite_only: bool = False

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
    """MMEngine's ``RuntimeInfoHook``, which waits for losses only when they are logged.

    In a config it takes that hook's place:
    ``default_hooks = dict(runtime_info=dict(type="DeferredRuntimeInfoHook"))``. It also keeps the
    histories of scalars short: MMEngine copies the whole history, of up to a million values, for
    every value that it adds.

    Args:
        history: Values of each scalar that are kept; more than any window of the log processor.
    """

    def __init__(self, *, history: int = 10_000) -> None:
        super().__init__()
        self.history = history
        self._scalars: DeferredScalars | None = None
        self._interval = 1

    def before_train(self, runner: Runner) -> None:
        """Find out how often the log is written, and name the config of this run."""
        super().before_train(runner)
        if runner._resume:  # the hub came with the checkpoint, whose run may have had another
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
        """Note the losses and the gradient norm of an iteration."""
        scalars = {f"train/{name}": value for name, value in (outputs or {}).items()}
        norm = getattr(runner.optim_wrapper, "grad_norm", None)
        if norm is not None:
            runner.optim_wrapper.grad_norm = None
            if outputs:  # else the step was skipped
                scalars[f"train/{runner.optim_wrapper.grad_name}"] = norm
        self._scalars.add(scalars)
        logged = self.every_n_train_iters(runner, self._interval) or self.is_last_train_iter(runner)
        self._scalars.flush(wait=logged)
        if logged:
            for history in runner.message_hub.log_scalars.values():
                history.max_length = self.history

    def after_train(self, runner: Runner) -> None:
        """Note what is still on its way."""
        self._scalars.flush(wait=True)
        super().after_train(runner)
