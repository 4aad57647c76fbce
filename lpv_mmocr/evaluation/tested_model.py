"""Names and descriptions that distinguish tests of the same checkpoint."""

from __future__ import annotations

from mmengine.model import BaseTTAModel
from torch import nn

from ..deploy import DTYPES, DeployedLPV
from ..engine.distributed import inner_model, without_wrapper
from ..engine.weights_fit import mask_of


def variant(*, tta: bool, deployed: str | None) -> str:
    """Return the suffix of the checkpoint name in files about a test.

    Args:
        tta: Whether the test uses test-time augmentation.
        deployed: Float type of a deployed model, such as ``bf16``; None for a plain one.

    Returns:
        ``_tta``, ``_deployed-bf16``, both in this order, or an empty string.
    """
    return "_tta" * tta + (f"_deployed-{deployed}" if deployed else "")


def variant_of(model: nn.Module) -> str:
    """Return the :func:`variant` of a model.

    Args:
        model: The model that was tested.
    """
    recogniser, deployed = inner_model(model), None
    if isinstance(recogniser, DeployedLPV):
        names = {dtype: name for name, dtype in DTYPES.items()}
        dtype = recogniser.dtype
        deployed = names.get(dtype, str(dtype).removeprefix("torch."))
    return variant(tta=isinstance(without_wrapper(model), BaseTTAModel), deployed=deployed)


def describe(model: nn.Module) -> str:
    """Return a description of a model: class, float types and mask.

    Args:
        model: The model that was tested.
    """
    outer, recogniser = without_wrapper(model), inner_model(model)
    name = type(outer).__name__
    if isinstance(recogniser, DeployedLPV) and recogniser is not outer:
        name += f" of a {type(recogniser).__name__}"
    dtypes = {str(weights.dtype).removeprefix("torch.") for weights in outer.parameters()}
    described = f"{name}, {' and '.join(sorted(dtypes))}"
    mask = mask_of(model)
    return described if mask is None else f"{described}, mask {'on' if mask else 'off'}"
