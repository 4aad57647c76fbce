"""What to do when a loss becomes NaN or infinite."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.dist import all_gather_object, all_reduce
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer
from mmengine.runner import Runner
from mmocr.registry import HOOKS
from torch import nn

from .deferred_scalars import Travelling
from .distributed import without_wrapper
from .prediction_hooks import sample_name

_ACTIONS = ("stop", "skip")


class NonFiniteLossError(RuntimeError):
    """A loss or a gradient was infinite or not a number."""


class _Forward(NamedTuple):
    """What is known of a forward pass; ``flags`` may still be on their way from the GPU."""

    iteration: int
    samples: Sequence[Any]
    losses: dict[str, torch.Tensor]
    flags: Travelling

    def read(self) -> tuple[bool, bool]:
        """Whether the loss of this process, and that of any process, is not finite."""
        here, anywhere = self.flags.read()
        return bool(here), bool(anywhere)


class _LateNorm(NamedTuple):
    """The gradient norm of a step whose forward pass is given."""

    forward: _Forward | None
    norm: Travelling


@HOOKS.register_module()
class NonFiniteGuardHook(Hook):
    """Keeps the weights from a step that a non-finite loss or gradient would spoil.

    Either the run stops with an error that names the iteration and the samples of the batch, or
    the step is left out and counted. All processes do the same, whichever of them has the bad
    batch. In the moment of the error the weights are those before the step.

    The check is exact and almost free on a GPU. Its result is copied to the host directly behind
    the forward pass and read just before the optimizer's step, when the backward pass is already
    queued: the host waits for the first while the GPU works on the second, and no gap opens. The
    gradient is judged by the norm that clipping has computed (``clip_grad`` of the config); without
    clipping only the loss is checked, and so it is with a loss scaler, which handles gradients
    itself. A fused optimizer on a GPU is told of a bad norm on the device and leaves the step out;
    the run stops, or the step is counted, when the next one is due. Its forward pass was finite, so
    running statistics and the log's averages of the loss keep it.

    A skipped step leaves nothing behind: neither weights nor the optimizer's state change, and
    running statistics (of batch normalisation) are put back. Its loss and a gradient norm that is
    not finite are left out of the log's averages; ``skipped_steps`` counts. With accumulated
    gradients all batches of the step go.

    Args:
        action: "stop" or "skip".
        max_in_row: Steps in a row that may be skipped before the run stops after all.

    Raises:
        NonFiniteLossError: While training, as described above.
        ValueError: For an unknown ``action``, or ``max_in_row`` below 1.
    """

    # Its after_train_iter has to come before the losses are noted for the log.
    priority = "HIGHEST"

    def __init__(self, *, action: str = "stop", max_in_row: int = 10) -> None:
        if action not in _ACTIONS:
            raise ValueError(f"action must be {' or '.join(_ACTIONS)}, got {action!r}")
        if max_in_row < 1:
            raise ValueError(f"max_in_row must be at least 1, got {max_in_row}")
        self.action = action
        self.max_in_row = max_in_row
        self._runner: Runner | None = None
        self._handles: list = []
        self._pending: list[_Forward] = []
        self._late: _LateNorm | None = None
        self._buffers: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._skipped = 0
        self._in_row = 0
        self._skipped_now = False

    def before_train(self, runner: Runner) -> None:
        """Attach to the model's forward pass and the optimizer's step."""
        self._runner = runner
        self._skipped = runner.message_hub.get_info("skipped_steps", 0)
        model = without_wrapper(runner.model)
        self._handles = [
            model.register_forward_hook(self._after_forward, with_kwargs=True),
            runner.optim_wrapper.optimizer.register_step_pre_hook(self._before_step),
        ]
        if self.action == "skip":
            runner.optim_wrapper.logs_finite_only = True  # where they are noted late
            self._handles.append(
                model.register_forward_pre_hook(self._before_forward, with_kwargs=True)
            )

    def after_train(self, runner: Runner) -> None:
        """Detach, and judge the last step."""
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self._settle(last=True)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Count, and keep what belongs to a skipped step out of the log's averages."""
        if self._pending and runner.optim_wrapper.should_update():
            # The step was due and did not come: a loss scaler has left it out, as it does until
            # its scale fits float16. Only the loss tells whether there is more to it.
            self._judge(runner.optim_wrapper.optimizer, gradient=0.0)
        if self.action != "skip":
            return
        if self._skipped_now and outputs is not None:
            outputs.clear()
        self._skipped_now = False
        self._forget_non_finite_norms()
        runner.message_hub.update_info("skipped_steps", self._skipped)
        runner.message_hub.update_scalar("train/skipped_steps", self._skipped)

    def _before_forward(self, model: nn.Module, args: tuple, kwargs: dict) -> None:
        """Keep the running statistics as they are before the step."""
        if kwargs.get("mode") == "loss" and not self._pending:
            self._buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]

    def _after_forward(
        self, model: nn.Module, args: tuple, kwargs: dict, outputs: dict[str, torch.Tensor]
    ) -> None:
        """Begin to find out whether the losses are finite."""
        if kwargs.get("mode") != "loss":
            return
        losses = {name: _flat(value) for name, value in outputs.items() if "loss" in name}
        if not losses:
            return
        finite = torch.stack([value.isfinite().all() for value in losses.values()]).all()
        here = (~finite).float()
        anywhere = here.clone()
        all_reduce(anywhere, "max")
        flags = Travelling.send(torch.stack([here, anywhere]))
        samples = kwargs.get("data_samples") or ()
        self._pending.append(_Forward(self._runner.iter, samples, losses, flags))

    def _before_step(self, optimizer: torch.optim.Optimizer, args: tuple, kwargs: dict) -> None:
        """Judge the step that the optimizer is about to take."""
        self._settle()
        wrapper = self._runner.optim_wrapper
        norm = getattr(wrapper, "grad_norm", None)
        if hasattr(wrapper, "loss_scaler"):
            # Infinite gradients are how a loss scaler finds its scale; it leaves such steps out.
            self._judge(optimizer, gradient=0.0)
        elif norm is not None and _leaves_out_steps(optimizer, norm):
            # The optimizer itself looks at this flag, on the device. What the norm was is
            # learnt when the next step is due, without waiting for the backward pass now.
            optimizer.found_inf = (~norm.isfinite()).float().reshape(())
            last = self._pending[-1] if self._pending else None
            self._late = _LateNorm(last, Travelling.send(norm.reshape(1)))
            self._judge(optimizer, gradient=None)
        else:
            self._judge(optimizer, gradient=self._gradient_norm())

    def _settle(self, *, last: bool = False) -> None:
        """Judge the step before, whose gradient norm has arrived by now."""
        late, self._late = self._late, None
        if late is None:
            return
        (gradient,) = late.norm.read()
        if math.isfinite(gradient):
            self._in_row = 0
            return
        message = _describe([], late.forward, gradient)
        if last:
            self._runner.logger.warning(f"{message} Its step, the last one, was left out.")
        else:
            self._leave_out(message)

    @torch.no_grad()
    def _judge(self, optimizer: torch.optim.Optimizer, *, gradient: float | None) -> None:
        """Let the step happen, keep it from happening, or stop the run.

        Args:
            optimizer: The optimizer.
            gradient: Norm of the gradient; None where it is not known yet.
        """
        pending, self._pending = self._pending, []
        bad = [forward for forward in pending if forward.read()[1]]
        if not bad and gradient is None:
            return
        if not bad and math.isfinite(gradient):
            self._in_row = 0
            return
        self._leave_out(_describe(bad, pending[-1] if pending else None, gradient))
        self._skipped_now = True
        self._late = None  # this step has been judged
        # An optimizer leaves parameters without a gradient alone, and their state too.
        optimizer.zero_grad(set_to_none=True)
        for buffer, before in self._buffers:
            buffer.copy_(before)

    def _leave_out(self, message: str) -> None:
        """Stop the run, or count a step that is left out."""
        self._in_row += 1
        if self.action == "stop":
            raise NonFiniteLossError(
                f"{message} The weights are those before this step. A smaller learning rate, a "
                "stronger clip_grad or float32 may help; NonFiniteGuardHook(action='skip') leaves "
                "such steps out."
            )
        if self._in_row > self.max_in_row:
            raise NonFiniteLossError(
                f"{message} {self.max_in_row} steps in a row have been skipped before this one: "
                "the training does not recover."
            )
        self._skipped += 1
        self._runner.logger.warning(f"{message} Its step is skipped; {self._skipped} so far.")

    def _gradient_norm(self) -> float:
        """The norm that clipping has just computed; 0 where there is no clipping."""
        wrapper = self._runner.optim_wrapper
        if getattr(wrapper, "grad_norm", None) is not None:
            return float(wrapper.grad_norm)
        noted = self._runner.message_hub.log_scalars.get(self._norm_name())
        return noted.current() if noted is not None else 0.0

    def _forget_non_finite_norms(self) -> None:
        """Take norms out of the log's history that ``OptimWrapper`` noted before they were judged.

        One of them would make the averages of a whole window no number either.
        """
        scalars, name = self._runner.message_hub.log_scalars, self._norm_name()
        if name not in scalars:
            return
        values, counts = scalars[name].data
        finite = np.isfinite(values)
        if finite.all():
            return
        if finite.any():
            length = scalars[name].max_length
            scalars[name] = HistoryBuffer(values[finite], counts[finite], length)
        else:
            del scalars[name]  # the log cannot average over nothing

    def _norm_name(self) -> str:
        """What the message hub calls the gradient norm."""
        return f"train/{getattr(self._runner.optim_wrapper, 'grad_name', None)}"


def _leaves_out_steps(optimizer: torch.optim.Optimizer, norm: torch.Tensor) -> bool:
    """Whether an optimizer can be told on the device to leave a step out.

    Fused optimizers can. On a CPU there is nothing to gain: values are there at once.
    """
    fused = optimizer.defaults.get("fused") and optimizer._step_supports_amp_scaling
    return bool(fused) and norm.is_cuda


def _flat(value: torch.Tensor | Sequence[torch.Tensor]) -> torch.Tensor:
    """Numbers of a loss, of which MMEngine takes lists, too."""
    parts = [value] if isinstance(value, torch.Tensor) else value
    return torch.cat([part.detach().flatten() for part in parts])


def _describe(bad: list[_Forward], last: _Forward | None, gradient: float) -> str:
    """Say what is wrong, and name the samples of every process that has it.

    All processes come here together, so they can exchange what they know.
    """
    if bad:
        suspects, what = [forward for forward in bad if forward.read()[0]], "The loss"
    else:
        suspects, what = [last] if last else [], f"The gradient norm ({gradient})"
    mine = [
        (
            ", ".join(f"{name}={float(value.mean()):g}" for name, value in forward.losses.items()),
            [sample_name(sample) or "(unnamed)" for sample in forward.samples],
        )
        for forward in suspects
    ]
    iteration = (bad[0] if bad else last).iteration + 1 if (bad or last) else "?"
    parts = [
        f"process {rank}: {losses}; samples: {', '.join(names)}"
        for rank, found in enumerate(all_gather_object(mine))
        for losses, names in found
    ]
    return f"{what} of iteration {iteration} is not finite. " + " | ".join(parts) + "."
