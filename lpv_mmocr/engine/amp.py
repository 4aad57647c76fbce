"""Mixed precision that also works without a GPU."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.device import (
    get_device,
    is_cuda_available,
    is_mlu_available,
    is_musa_available,
    is_npu_available,
)
from mmengine.registry import OPTIM_WRAPPERS
from torch import nn

from ..bfloat16 import cpu_emulates_bfloat16, gpu_emulates_bfloat16
from .deferred_scalars import DeferredOptimWrapper

_DEFAULT_DTYPES = {"AutocastOptimWrapper": "bfloat16", "AmpOptimWrapper": "float16"}
_SHORT_NAMES = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}

AMP_OPTIONS = ("dtype", "loss_scale", "use_fsdp")
"""Options of mixed-precision wrappers that other wrappers lack."""


@OPTIM_WRAPPERS.register_module()
class AutocastOptimWrapper(DeferredOptimWrapper):
    """Optimiser wrapper that runs the forward pass in bfloat16, on GPU or CPU.

    MMEngine's ``AmpOptimWrapper`` requires an accelerator because it scales the loss. float16 needs
    that; bfloat16, which has the exponent range of float32, does not. This wrapper therefore has no
    loss scaler, has no state besides the optimiser's, and never skips a step. It can resume from
    checkpoints of either wrapper.

    Args:
        dtype: "bfloat16"; or "float32" to switch mixed precision off.
        **kwargs: Arguments of ``mmengine.optim.OptimWrapper``.

    Raises:
        ValueError: If ``dtype`` is neither of the two.
    """

    dtypes = {"bfloat16": torch.bfloat16, "float32": torch.float32}

    def __init__(self, *, dtype: str = "bfloat16", **kwargs) -> None:
        if dtype not in self.dtypes:
            raise ValueError(
                f"AutocastOptimWrapper supports dtype {' and '.join(self.dtypes)}, got {dtype!r}; "
                "float16 needs the loss scaling of AmpOptimWrapper, and a GPU"
            )
        super().__init__(**kwargs)
        self.cast_dtype = self.dtypes[dtype]

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocast within the base class's context, which handles gradient accumulation.

        Args:
            model: Model, with or without its wrapper for distributed training.
        """
        enabled = self.cast_dtype != torch.float32
        # Not MMEngine's autocast, which knows neither Apple's GPUs nor a model on the CPU beside
        # an unused GPU.
        device = next(model.parameters()).device.type
        with (
            super().optim_context(model),
            torch.autocast(device, dtype=torch.bfloat16, enabled=enabled),
        ):
            yield


def enable_amp(optim_wrapper: dict) -> None:
    """Enable mixed precision in the ``optim_wrapper`` section of a config.

    Uses bfloat16 where the device supports it, and float16 with a dynamic loss scale on older GPUs.
    A config that already uses mixed precision is left unchanged if the device supports it. On a
    GPU that only emulates bfloat16, which is slow, float16 replaces it.

    Args:
        optim_wrapper: Section to change in place.

    Raises:
        ValueError: If mixed precision is not supported for this type of wrapper.
    """
    kind = _kind(optim_wrapper)
    if kind == "AmpOptimWrapper" and _can_scale_losses():
        return
    if kind == "AutocastOptimWrapper" and not gpu_emulates_bfloat16():
        optim_wrapper["dtype"] = "bfloat16"  # it can also be float32
        return
    if kind in ("AmpOptimWrapper", "AutocastOptimWrapper"):
        for option in AMP_OPTIONS:
            optim_wrapper.pop(option, None)
    elif kind not in ("OptimWrapper", "DeferredOptimWrapper"):
        raise ValueError(
            "mixed precision needs an optim_wrapper of type OptimWrapper or DeferredOptimWrapper, "
            f"not {kind}; choose the precision in the config"
        )
    if gpu_emulates_bfloat16():
        optim_wrapper.update(type="AmpOptimWrapper", loss_scale="dynamic")
    else:
        optim_wrapper.update(type="AutocastOptimWrapper")


def check_loss_scaling(optim_wrapper: Mapping[str, Any]) -> None:
    """Check that the device supports the ``optim_wrapper`` section of a config.

    Args:
        optim_wrapper: Section of the config.

    Raises:
        ValueError: If it scales the loss, and there is no accelerator.
    """
    if _kind(optim_wrapper) == "AmpOptimWrapper" and not _can_scale_losses():
        raise ValueError(
            "optim_wrapper.type=AmpOptimWrapper needs a GPU, and none was found; --amp trains in "
            "bfloat16 instead, also on a CPU"
        )


def precision_of(optim_wrapper: Mapping[str, Any]) -> str | None:
    """Return the precision that a config trains in.

    Args:
        optim_wrapper: Section of the config.

    Returns:
        ``fp32``, ``bf16`` or ``fp16``; None for a type of wrapper, or a float type, not known here.
    """
    kind = _kind(optim_wrapper)
    if kind in ("OptimWrapper", "DeferredOptimWrapper"):
        return "fp32"
    if kind not in _DEFAULT_DTYPES:
        return None
    return _SHORT_NAMES.get(optim_wrapper.get("dtype") or _DEFAULT_DTYPES[kind])


def replace_emulated_bfloat16(optim_wrapper: dict) -> str | None:
    """Let a config train in float32 on a CPU that only emulates bfloat16, many times slower.

    On a GPU that only emulates it, the config is left unchanged: float16, which ``--amp`` selects
    there, needs a scaled loss and may train differently.

    Args:
        optim_wrapper: Section to change in place.

    Returns:
        A warning about what was changed, or what should be; None if bfloat16 is not emulated.
    """
    if precision_of(optim_wrapper) != "bf16":
        return None
    if gpu_emulates_bfloat16():
        return (
            "This GPU only emulates bfloat16, in which this config trains, and is slow at it; "
            "--amp trains in float16"
        )
    if get_device() == "cpu" and cpu_emulates_bfloat16():
        optim_wrapper["dtype"] = "float32"
        return (
            "This processor only emulates bfloat16, which is many times slower here than float32; "
            "therefore this run trains in float32"
        )
    return None


def _kind(optim_wrapper: Mapping[str, Any]) -> str:
    """Return the type of the wrapper without its scope, such as ``mmengine.``."""
    return str(optim_wrapper.get("type", "OptimWrapper")).rpartition(".")[2]


def _can_scale_losses() -> bool:
    return is_cuda_available() or is_npu_available() or is_mlu_available() or is_musa_available()
