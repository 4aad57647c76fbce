"""Sweeps over the batch size, image width, number of stages and longest word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..cli import InputError
from .specification import Specification
from .subjects import load

AXES = {
    "batch": "images in a batch",
    "width": "width in pixels",
    "stages": "stages",
    "length": "characters of the longest word",
}
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_WIDTHS = (1.0, 1.5, 2.0, 3.0, 4.0)
_STAGES = (1, 2, 3, 4, 5)
_LENGTHS = (25, 50, 100)


def sweep(axis: str, specs: Sequence[Specification]) -> list[Specification]:
    """Make variants of LPV models along an axis.

    Args:
        axis: "width" (1 to 4 times the config's), "stages" (1 to 5) or "length" (25 to 100).
        specs: The models.

    Returns:
        The variants of each model.

    Raises:
        InputError: If a model is not an LPV from a config.
    """
    return [variant for spec in specs for variant in _VARIANTS[axis](spec, _lpv_config(spec))]


def _lpv_config(spec: Specification) -> dict:
    model = load(spec).model if spec.config else {}
    if model.get("type") != "LPV" or "img_size" not in (model.get("encoder") or {}):
        raise InputError(
            f"--sweep {', '.join(_VARIANTS)} need LPV models with an LPVSVTREncoder; "
            f"{spec.label} is not one (--sweep batch accepts any model)"
        )
    return model


def _widths(spec: Specification, model: dict) -> list[Specification]:
    height, width = model["encoder"]["img_size"]
    variants = []
    for factor in _WIDTHS:
        wide = round(factor * width)
        options = {"model.encoder.img_size": (height, wide)}
        variants.append(spec.changed(f"{height}x{wide}", wide, options))
    return variants


def _stages(spec: Specification, model: dict) -> list[Specification]:
    variants = []
    for number in _STAGES:
        options: dict[str, Any] = {"model.decoder.num_stages": number}
        if number == 1:  # no GLRM to which the mask could apply
            options["model.decoder.with_mask"] = False
        plural = "stage" if number == 1 else "stages"
        variants.append(spec.changed(f"{number} {plural}", number, options))
    return variants


def _lengths(spec: Specification, model: dict) -> list[Specification]:
    return [
        spec.changed(f"{length} characters", length, {"model.decoder.max_seq_len": length})
        for length in _LENGTHS
    ]


_VARIANTS = {"width": _widths, "stages": _stages, "length": _lengths}
