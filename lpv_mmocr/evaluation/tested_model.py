"""Names and descriptions that distinguish tests of the same checkpoint."""

from __future__ import annotations

from mmengine.model import BaseTTAModel
from torch import nn

from ..deploy import DTYPES, DeployedLPV
from ..engine.distributed import without_wrapper
from ..engine.weights_fit import mask_of

TTA = "_tta"


def deployed(dtype: str) -> str:
    """Return the suffix of the checkpoint name in files about a deployed model.

    Args:
        dtype: ``fp32``, ``bf16`` or ``fp16``.
    """
    return f"_deployed-{dtype}"


def variant_of(model: nn.Module) -> str:
    """Return the suffix of the checkpoint name in files about a test; empty for the plain model.

    Args:
        model: The model that was tested.
    """
    model = without_wrapper(model)
    if isinstance(model, BaseTTAModel):
        return TTA
    if isinstance(model, DeployedLPV):
        names = {dtype: name for name, dtype in DTYPES.items()}
        return deployed(names.get(model.dtype, str(model.dtype).removeprefix("torch.")))
    return ""


def describe(model: nn.Module) -> str:
    """Return a description of a model: class, float types and mask.

    Args:
        model: The model that was tested.
    """
    model = without_wrapper(model)
    dtypes = {str(weights.dtype).removeprefix("torch.") for weights in model.parameters()}
    described = f"{type(model).__name__}, {' and '.join(sorted(dtypes))}"
    mask = mask_of(model)
    return described if mask is None else f"{described}, mask {'on' if mask else 'off'}"
