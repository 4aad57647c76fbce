"""Guard against losses and gradients that are NaN or infinite."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.dist import all_gather_object, all_reduce
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer
from mmengine.optim import OptimWrapperDict
from mmengine.runner import Runner
from mmocr.registry import HOOKS
from torch import nn

from ..sample_names import sample_name
from .deferred_scalars import AsyncCopy
from .distributed import without_wrapper

_ACTIONS = ("stop", "skip")


class NonFiniteLossError(RuntimeError):
    """A loss or a gradient is NaN or infinite."""


class _Forward(NamedTuple):
    """Record of a forward pass; its ``flags`` may still be in transfer from the GPU."""

    iteration: int
    samples: Sequence[Any]
    losses: dict[str, torch.Tensor]
    flags: AsyncCopy

    def read(self) -> tuple[bool, bool]:
        """Return whether the loss is non-finite in this process, and in any process."""
        here, anywhere = self.flags.read()
        return bool(here), bool(anywhere)


class _PendingNorm(NamedTuple):
    """Gradient norm of a step, with the step's forward pass."""

    forward: _Forward | None
    norm: AsyncCopy


@HOOKS.register_module()
class NonFiniteGuardHook(Hook):
    """Hook that protects the weights from steps with a non-finite loss or gradient.

    Either the run stops with an error that names the iteration and the samples of the batch, or
    the step is skipped and counted. All processes do the same, whichever of them has the bad
    batch. When the error is raised, the weights are those before the step.

    The check is exact and almost free on a GPU. Its result is copied to the host directly after the
    forward pass and read just before the optimiser's step, when the backward pass is already
    queued: the host waits for the forward pass while the GPU has work left, so the GPU does not
    idle. The gradient is checked by the norm that clipping computes (``clip_grad`` of the config);
    without clipping only the loss is checked, as with a loss scaler, which handles gradients
    itself. A fused optimiser on a GPU reads a flag for a bad norm on the device and skips the step;
    the run stops, or the step is counted, when the next step is due. Since the forward pass of such
    a step was finite, it stays in the running statistics and in the log's averages of the loss.

    Otherwise a skipped step has no effect: neither weights nor the optimiser's state change, and
    running statistics (of batch normalisation) are restored. Its loss and any non-finite gradient
    norm are left out of the log's averages; ``skipped_steps`` is the count. It still counts as an
    iteration, for the schedules too, and a weight average that is due includes the unchanged
    weights. With gradient accumulation, all batches of the step are dropped.

    Args:
        action: "stop" or "skip".
        max_in_row: Maximum number of steps in a row to skip; one more stops the run.

    Raises:
        NonFiniteLossError: During training, as described above.
        ValueError: If ``action`` is unknown, or ``max_in_row`` is below 1.
    """

    # Its after_train_iter has to run before the losses are recorded for the log.
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
        self._unread_norm: _PendingNorm | None = None
        self._statistics: list[tuple[list[torch.Tensor], list[torch.Tensor]]] = []
        self._saved = False  # whether they are those before this step
        self._skipped = 0
        self._in_row = 0
        self._skipped_now = False

    def before_train(self, runner: Runner) -> None:
        """Attach to the model's forward pass and the optimiser's step."""
        if isinstance(runner.optim_wrapper, OptimWrapperDict):
            runner.logger.warning(
                "NonFiniteGuardHook checks the steps of a single optimiser. This run has several, "
                "so non-finite losses and gradients are not noticed"
            )
            return
        self._runner = runner
        self._skipped = runner.message_hub.get_info("skipped_steps", 0)
        model = without_wrapper(runner.model)
        self._handles = [
            model.register_forward_hook(self._after_forward, with_kwargs=True),
            runner.optim_wrapper.optimizer.register_step_pre_hook(self._before_step),
        ]
        if self.action == "skip":
            runner.optim_wrapper.logs_finite_only = True  # for DeferredRuntimeInfoHook
            self._statistics = [
                (buffers, [torch.empty_like(buffer) for buffer in buffers])
                for buffers in _persistent_buffers(model)
            ]
            self._handles.append(
                model.register_forward_pre_hook(self._before_forward, with_kwargs=True)
            )

    def after_train(self, runner: Runner) -> None:
        """Detach from the model and the optimiser, and check the last step."""
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self._check_previous_step(last=True)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Count skipped steps, and keep their values out of the log's averages."""
        if self._runner is None:  # not attached
            return
        if self._pending and runner.optim_wrapper.should_update():
            # The step was due but not taken: a loss scaler has skipped it, as it does until its
            # scale fits float16. Only the loss shows whether something else is wrong.
            self._check_step(runner.optim_wrapper.optimizer, gradient=0.0)
        if self.action != "skip":
            return
        if self._skipped_now and outputs is not None:
            outputs.clear()
        self._skipped_now = False
        self._forget_non_finite_norms()
        runner.message_hub.update_info("skipped_steps", self._skipped)
        runner.message_hub.update_scalar("train/skipped_steps", self._skipped)

    def _before_forward(self, model: nn.Module, args: tuple, kwargs: dict) -> None:
        """Save the running statistics as they are before the step."""
        if kwargs.get("mode") == "loss" and not self._pending:
            for buffers, before in self._statistics:
                torch._foreach_copy_(before, buffers)
            self._saved = True

    def _after_forward(
        self, model: nn.Module, args: tuple, kwargs: dict, outputs: dict[str, torch.Tensor]
    ) -> None:
        """Start checking whether the losses are finite."""
        if kwargs.get("mode") != "loss":
            return
        losses = {name: _flat(value) for name, value in outputs.items() if "loss" in name}
        if not losses:
            return
        finite = torch.stack([value.isfinite().all() for value in losses.values()]).all()
        here = (~finite).float()
        anywhere = here.clone()
        all_reduce(anywhere, "max")
        flags = AsyncCopy.send(torch.stack([here, anywhere]))
        samples = kwargs.get("data_samples") or ()
        self._pending.append(_Forward(self._runner.iter, samples, losses, flags))

    def _before_step(self, optimizer: torch.optim.Optimizer, args: tuple, kwargs: dict) -> None:
        """Check the step that the optimiser is about to take."""
        self._check_previous_step()
        wrapper = self._runner.optim_wrapper
        norm = getattr(wrapper, "grad_norm", None)
        if hasattr(wrapper, "loss_scaler"):
            # A loss scaler finds its scale by infinite gradients, and skips such steps itself.
            self._check_step(optimizer, gradient=0.0)
        elif norm is not None and _skips_on_device(optimizer, norm):
            # The optimiser itself reads this flag, on the device. The host reads the norm when the
            # next step is due, so it does not wait for the backward pass now.
            optimizer.found_inf = (~norm.isfinite()).float().reshape(())
            last = self._pending[-1] if self._pending else None
            self._unread_norm = _PendingNorm(last, AsyncCopy.send(norm.reshape(1)))
            self._check_step(optimizer, gradient=None)
        else:
            self._check_step(optimizer, gradient=self._gradient_norm())

    def _check_previous_step(self, *, last: bool = False) -> None:
        """Check the previous step, whose gradient norm has arrived by now."""
        unread, self._unread_norm = self._unread_norm, None
        if unread is None:
            return
        (gradient,) = unread.norm.read()
        if math.isfinite(gradient):
            self._in_row = 0
            return
        message = _describe([], unread.forward, gradient)
        if last:
            self._runner.logger.warning(f"{message} Its step, the last one, was left out.")
        else:
            self._count_or_stop(message)

    @torch.no_grad()
    def _check_step(self, optimizer: torch.optim.Optimizer, *, gradient: float | None) -> None:
        """Allow the step, skip it, or stop the run.

        Args:
            optimizer: Optimiser that is about to take the step.
            gradient: Norm of the gradient; None if it is not known yet.
        """
        pending, self._pending = self._pending, []
        saved, self._saved = self._saved, False
        bad = [forward for forward in pending if forward.read()[1]]
        if not bad and gradient is None:
            return
        if not bad and math.isfinite(gradient):
            self._in_row = 0
            return
        self._count_or_stop(_describe(bad, pending[-1] if pending else None, gradient))
        self._skipped_now = True
        self._unread_norm = None  # this step has been checked
        # An optimiser changes neither parameters without a gradient nor their state.
        optimizer.zero_grad(set_to_none=True)
        for buffers, before in self._statistics if saved else ():
            torch._foreach_copy_(buffers, before)

    def _count_or_stop(self, message: str) -> None:
        """Stop the run, or count a skipped step."""
        self._in_row += 1
        if self.action == "stop":
            raise NonFiniteLossError(
                f"{message} The weights are those before this step. A smaller learning rate, a "
                "stronger clip_grad or float32 may help; NonFiniteGuardHook(action='skip') skips "
                "such steps."
            )
        if self._in_row > self.max_in_row:
            raise NonFiniteLossError(
                f"{message} {self.max_in_row} steps in a row have been skipped before this one: "
                "training does not recover."
            )
        self._skipped += 1
        self._runner.logger.warning(f"{message} Its step is skipped; {self._skipped} so far.")

    def _gradient_norm(self) -> float:
        """Return the norm that clipping has just computed; 0 without clipping."""
        wrapper = self._runner.optim_wrapper
        if getattr(wrapper, "grad_norm", None) is not None:
            return float(wrapper.grad_norm)
        noted = self._runner.message_hub.log_scalars.get(self._norm_name())
        return noted.current() if noted is not None else 0.0

    def _forget_non_finite_norms(self) -> None:
        """Remove non-finite norms that ``OptimWrapper`` has added to the log's history.

        It adds them before they are checked; a single one would make the average of a complete
        window non-finite.
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
        """Return the key of the gradient norm in the message hub."""
        return f"train/{getattr(self._runner.optim_wrapper, 'grad_name', None)}"


def _persistent_buffers(model: nn.Module) -> list[list[torch.Tensor]]:
    """Return the buffers that checkpoints hold, one list per type and device.

    Tensors of one type and device can be copied by a single kernel. Other buffers are constants.
    """
    groups: dict[tuple[torch.dtype, torch.device], list[torch.Tensor]] = {}
    persistent = model.state_dict().keys()
    for name, buffer in model.named_buffers():
        if name in persistent:
            groups.setdefault((buffer.dtype, buffer.device), []).append(buffer)
    return list(groups.values())


def _skips_on_device(optimizer: torch.optim.Optimizer, norm: torch.Tensor) -> bool:
    """Return whether a flag on the device can make an optimiser skip a step.

    Fused optimisers support this. On a CPU it has no benefit, since values are available at once.
    """
    # Not optimizer.defaults: groups that were loaded from a checkpoint may differ from them.
    fused = all(group.get("fused") for group in optimizer.param_groups)
    return fused and getattr(optimizer, "_step_supports_amp_scaling", False) and norm.is_cuda


def _flat(value: torch.Tensor | Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the values of a loss, which in MMEngine may be a list of tensors, as one tensor."""
    parts = [value] if isinstance(value, torch.Tensor) else value
    return torch.cat([part.detach().flatten() for part in parts])


def _describe(bad: list[_Forward], last: _Forward | None, gradient: float) -> str:
    """Describe what is non-finite, with the samples in every process where it is.

    All processes reach this call together, so they can exchange the names of their samples.
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
