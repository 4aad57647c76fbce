"""Precision that a model runs in."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from typing import Any

import torch

from ..cli import InputError
from ..deploy import DTYPES
from ..engine.amp import AMP_OPTIONS, precision_of
from .specification import Specification

_WRAPPERS = {
    "fp32": dict(type="OptimWrapper"),
    "bf16": dict(type="AutocastOptimWrapper"),
    "fp16": dict(type="AmpOptimWrapper", loss_scale="dynamic"),
}


def autocast(spec: Specification, device: torch.device) -> AbstractContextManager:
    """Return the context for running a model; deployed models have their precision built in.

    Args:
        spec: The model.
        device: Device that it runs on.
    """
    if spec.deploy or spec.precision in (None, "fp32"):
        return nullcontext()
    return torch.autocast(device.type, DTYPES[spec.precision])


def training_wrapper(
    config: dict[str, Any], spec: Specification, device: torch.device
) -> dict[str, Any]:
    """Return an optimiser wrapper's config in the requested precision, or in its own.

    Args:
        config: The ``optim_wrapper`` part of a config.
        spec: The model.
        device: Device that it runs on.

    Raises:
        InputError: For fp16 without a GPU, or a wrapper of an unknown type.
    """
    config = deepcopy(config)
    config.setdefault("type", "OptimWrapper")
    own = precision_of(config)
    if spec.precision in (None, own):
        return config
    if own is None:
        raise InputError(
            f"{spec.label}: the precision of an optim_wrapper {config['type']} cannot be changed"
        )
    if spec.precision == "fp16" and device.type == "cpu":
        raise InputError(
            f"{spec.label}: training in fp16 scales the loss, which needs a GPU; use bf16"
        )
    for option in AMP_OPTIONS:
        config.pop(option, None)
    return {**config, **_WRAPPERS[spec.precision]}


def training_precision(config: dict[str, Any] | None, spec: Specification) -> str:
    """Return the name of the precision in which a training step runs.

    Args:
        config: The ``optim_wrapper`` part of the config that trains the model, or None.
        spec: The model.
    """
    return spec.precision or precision_of(config or {}) or "fp32"
