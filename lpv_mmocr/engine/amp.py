"""Mixed precision that also works where there is no GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.registry import OPTIM_WRAPPERS
from mmengine.runner.amp import autocast
from torch import nn

from .deferred_scalars import DeferredOptimWrapper


@OPTIM_WRAPPERS.register_module()
class AutocastOptimWrapper(DeferredOptimWrapper):
    """Runs the forward pass in bfloat16, on a GPU or on a CPU.

    MMEngine's ``AmpOptimWrapper`` insists on an accelerator. Its reason is the scaling of the loss,
    which float16 needs and bfloat16, with the exponents of float32, does not. So this wrapper has
    no scaler, nothing to save beside the optimizer, and no step is ever skipped. A checkpoint of
    either wrapper can be resumed with it.

    Args:
        dtype: "bfloat16"; or "float32" to switch mixed precision off.
        **kwargs: Arguments of ``mmengine.optim.OptimWrapper``.

    Raises:
        ValueError: For another ``dtype``.
    """

    dtypes = {"bfloat16": torch.bfloat16, "float32": torch.float32}

    def __init__(self, *, dtype: str = "bfloat16", **kwargs) -> None:
        if dtype not in self.dtypes:
            raise ValueError(
                f"AutocastOptimWrapper knows dtype {' and '.join(self.dtypes)}, got {dtype!r}; "
                "float16 needs the loss scaling of AmpOptimWrapper, and a GPU"
            )
        super().__init__(**kwargs)
        self.cast_dtype = self.dtypes[dtype]

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocast, besides what the base class does for gradient accumulation.

        Args:
            model: The model, wrapped for distributed training or not.
        """
        enabled = self.cast_dtype != torch.float32
        with (
            super().optim_context(model),
            autocast(dtype=torch.bfloat16, enabled=enabled),
        ):
            yield

    def load_state_dict(self, state_dict: dict) -> None:
        """Take over the optimizer's state, from a run with loss scaling too.

        Args:
            state_dict: What ``state_dict`` of an ``OptimWrapper`` or ``AmpOptimWrapper`` gave.
        """
        super().load_state_dict(
            {key: value for key, value in state_dict.items() if key != "loss_scaler"}
        )


def enable_amp(optim_wrapper: dict) -> None:
    """Turn mixed precision on in the ``optim_wrapper`` part of a config.

    bfloat16 wherever the device has it; float16 with a dynamic loss scale on older GPUs. A config
    that has chosen mixed precision itself stays as it is.

    Args:
        optim_wrapper: The part to change in place.

    Raises:
        ValueError: If the wrapper is one for which mixed precision is not known.
    """
    kind = optim_wrapper.get("type", "OptimWrapper")
    if kind in ("AmpOptimWrapper", "AutocastOptimWrapper"):
        return
    if kind not in ("OptimWrapper", "DeferredOptimWrapper"):
        raise ValueError(
            f"mixed precision is known for an optim_wrapper of type OptimWrapper, not {kind}; "
            "choose the precision in the config"
        )
    # Older GPUs only emulate it.
    if torch.cuda.is_available() and not torch.cuda.is_bf16_supported(including_emulation=False):
        optim_wrapper.update(type="AmpOptimWrapper", loss_scale="dynamic")
    else:
        optim_wrapper.update(type="AutocastOptimWrapper")
