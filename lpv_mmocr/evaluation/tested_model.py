"""What tells one test of a checkpoint from another."""

from __future__ import annotations

from mmengine.model import BaseTTAModel
from torch import nn

from ..deploy import DTYPES, DeployedLPV
from ..engine.distributed import without_wrapper
from ..engine.weights_hooks import mask_of

TTA = "_tta"


def deployed(dtype: str) -> str:
    """What files about a deployed model add to the name of its checkpoint.

    Args:
        dtype: ``fp32``, ``bf16`` or ``fp16``.
    """
    return f"_deployed-{dtype}"


def variant_of(model: nn.Module) -> str:
    """What files about a test add to the name of the checkpoint: nothing for the plain model.

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
    """Class, float types and mask of a model, in words.

    Args:
        model: The model that was tested.
    """
    model = without_wrapper(model)
    dtypes = {str(weights.dtype).removeprefix("torch.") for weights in model.parameters()}
    described = f"{type(model).__name__}, {' and '.join(sorted(dtypes))}"
    mask = mask_of(model)
    return described if mask is None else f"{described}, mask {'on' if mask else 'off'}"
