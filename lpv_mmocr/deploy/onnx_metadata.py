"""Metadata of LPV's ONNX files, so that reading needs nothing but the file."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from mmengine.config import Config

from lpv_onnx.metadata import FORMAT

from ..datasets.config_pipeline import pipeline_of_test, without_scope
from ..datasets.transforms.word_look import LOOKS, WordLook
from ..models.best_look_tta import SURE
from ..version import __version__
from .convert import DeployedLPV

INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "box", "lanczos", "hamming")

# The reader does these steps when it loads an image and when it builds a batch.
_LOADING = (
    "LoadWordImage",
    "LoadImageFromFile",
    "LoadImageFromNDArray",
    "InferencerLoader",
    "LoadOCRAnnotations",
)
# Arguments of loading a file, with the values for which the reader loads the same images.
_FILE_LOADING = dict(
    color_type=("color", "color_ignore_orientation"), imdecode_backend=("cv2",), to_float32=(False,)
)
_PACKING = ("PackWordInputs", "PackTextRecogInputs")


@dataclass(frozen=True)
class Preprocessing:
    """Preprocessing that turns an image into the network's input.

    Attributes:
        height: Height of the image in pixels.
        width: Width of the image in pixels.
        interpolation: Pillow's name of the resize filter.
        mean: Values subtracted from the channels, for pixels in 0..255.
        std: Values that the channels are then divided by.
        channels: Order of the channels, ``rgb`` or ``bgr``.
        keep_ratio: None if images are stretched to height and width. Otherwise ``min_width``,
            ``max_width`` and ``divisor`` of the width that keeps the aspect ratio, and the value
            ``fill`` (0..255) of the columns added on the right.
    """

    height: int
    width: int
    interpolation: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    channels: str
    keep_ratio: dict[str, Any] | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        return len(self.mean), self.height, self.width

    @classmethod
    def of(cls, cfg: Config) -> Preprocessing:
        """Derive the settings from the test pipeline and the data preprocessor of a config.

        Args:
            cfg: Config.

        Raises:
            ValueError: If the config has no test pipeline, or one with a step or option that the
                reader of ONNX files does not support.
        """
        resizing = _resizing(_test_pipeline(cfg))
        _check_padding(cfg.model, resizing["height"], resizing["width"])
        return cls(**resizing, **_normalisation(cfg.model))

    def normalise(self, images: Sequence[torch.Tensor]) -> torch.Tensor:
        """Normalise images that already have the size of the input.

        Args:
            images: N images of shape (C, H, W), uint8, in the order of ``channels``.

        Returns:
            Images of shape (N, C, H, W), float32.
        """
        mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (self.mean, self.std))
        return (torch.stack(list(images)).float() - mean) / std


def describe(
    model: DeployedLPV,
    preprocessing: Preprocessing,
    *,
    precision: str,
    attention: bool,
    parameters: int,
    source: str | None,
) -> dict[str, Any]:
    """Collect the metadata that a reader needs.

    Args:
        model: Deployed model.
        preprocessing: Preprocessing of the images.
        precision: ``fp32``, ``fp16`` or ``int8``.
        attention: Whether the attention maps are a second output.
        parameters: Number of parameters that the model was trained with.
        source: Name of the checkpoint.

    Returns:
        Plain data: ``format``, ``lpv_mmocr`` (version), ``source``, ``parameters``, ``precision``,
        ``mask``, ``mask_threshold``, ``attention``, ``stages``, ``max_seq_len``, ``classes`` (text
        of each class), ``start``, ``end`` and ``padding`` (class indexes; the last may be None),
        ``preprocessing``, ``tta`` (test-time augmentation: ``looks``, tried on words read with a
        confidence below ``sure``).
    """
    decoder = model.decoder
    dictionary = decoder.postprocessor.dictionary
    return dict(
        format=FORMAT,
        lpv_mmocr=__version__,
        source=source,
        parameters=parameters,
        precision=precision,
        mask=decoder.with_mask,
        mask_threshold=decoder.mask_threshold,
        attention=attention,
        stages=len(decoder.attentions),
        max_seq_len=decoder.max_seq_len,
        classes=list(dictionary.dict),
        start=dictionary.start_idx,
        end=dictionary.end_idx,
        padding=dictionary.padding_idx,
        preprocessing=asdict(preprocessing),
        tta=dict(looks=[_look(look) for look in LOOKS], sure=SURE),
    )


def encode(metadata: dict[str, Any]) -> str:
    """Return metadata as JSON."""
    return json.dumps(metadata, ensure_ascii=False)


def _look(look: WordLook) -> dict[str, Any]:
    return dict(matrix=look.matrix.tolist(), margin=look.margin, tall_only=look.tall_only)


def _test_pipeline(cfg: Config) -> list[dict]:
    pipeline = pipeline_of_test(cfg)
    if not pipeline:
        raise ValueError("the config has no test pipeline, so it is unknown how images are resized")
    return pipeline


def _resizing(pipeline: Sequence[dict]) -> dict[str, Any]:
    for step in pipeline:
        if step["type"] == "LoadImageFromFile":
            _check_loading(step)
    steps = [without_scope(step) for step in pipeline if step["type"] not in (*_LOADING, *_PACKING)]
    kinds = [step.pop("type") for step in steps]
    if kinds == ["Resize"]:
        return _stretching(steps[0])
    if kinds == ["RescaleToHeight", "PadToWidth"]:
        return _proportional(*steps)
    raise ValueError(
        "the reader of ONNX files supports two ways to prepare an image, Resize, or "
        f"RescaleToHeight with PadToWidth; the test pipeline has {', '.join(kinds) or 'none'}"
    )


def _check_loading(step: dict) -> None:
    for name, values in _FILE_LOADING.items():
        if step.get(name, values[0]) not in values:
            raise ValueError(
                f"{step['type']} in the test pipeline has {name}={step[name]!r}; the reader of "
                f"ONNX files needs {values[0]!r}"
            )


def _stretching(step: dict) -> dict[str, Any]:
    scale = step.pop("scale", None)
    if isinstance(scale, int) or scale is None or step.pop("keep_ratio", False):
        raise ValueError(
            "Resize in the test pipeline must have a scale (width, height) and not keep the ratio"
        )
    interpolation = _interpolation("Resize", step)
    return dict(height=scale[1], width=scale[0], interpolation=interpolation)


def _proportional(rescale: dict, pad: dict) -> dict[str, Any]:
    height, width = rescale.pop("height"), pad.pop("width")
    keep_ratio = dict(
        min_width=rescale.pop("min_width", None) or 1,
        max_width=rescale.pop("max_width", None),
        divisor=rescale.pop("width_divisor", 1),
        fill=_fill(pad.pop("pad_cfg", None) or {}),
    )
    widest, divisor = keep_ratio["max_width"], keep_ratio["divisor"]
    if widest is None:
        raise ValueError(
            "RescaleToHeight in the test pipeline has no max_width: images of different widths "
            "cannot be read in one batch"
        )
    if widest % divisor:
        widest = round(widest / divisor) * divisor
    if widest > width:
        raise ValueError(
            f"RescaleToHeight makes images up to {widest} pixels wide, "
            f"PadToWidth only {width}: images of different widths cannot be read in one "
            "batch"
        )
    interpolation = _interpolation("RescaleToHeight", rescale)
    return dict(height=height, width=width, interpolation=interpolation, keep_ratio=keep_ratio)


def _fill(pad_cfg: dict) -> int:
    fill = pad_cfg.get("pad_val", 0)
    fill = fill.get("img", 0) if isinstance(fill, dict) else fill
    if not isinstance(fill, int) or pad_cfg.get("padding_mode", "constant") != "constant":
        raise ValueError("PadToWidth in the test pipeline must pad with one constant value")
    return fill


def _interpolation(kind: str, step: dict) -> str:
    backend, interpolation = step.pop("backend", "cv2"), step.pop("interpolation", "bilinear")
    if step.get("resize_type") == "Resize":  # RescaleToHeight's default
        del step["resize_type"]
    if backend != "pillow" or interpolation not in INTERPOLATIONS:
        raise ValueError(
            f"{kind} in the test pipeline resizes with {backend}'s {interpolation}; the reader of "
            "ONNX files resizes with Pillow alone: train with backend='pillow'"
        )
    if step:
        raise ValueError(
            f"the reader of ONNX files does not support {', '.join(step)} of {kind} in the test "
            "pipeline"
        )
    return interpolation


def _check_padding(model: dict, height: int, width: int) -> None:
    divisor = (model.get("data_preprocessor") or {}).get("pad_size_divisor", 1)
    if height % divisor or width % divisor:
        raise ValueError(
            f"data_preprocessor pads images of {height} x {width} to multiples of "
            f"pad_size_divisor={divisor}, which the reader of ONNX files does not do: resize to "
            "multiples of it"
        )


def _normalisation(model: dict) -> dict[str, Any]:
    settings = dict(model.get("data_preprocessor") or {})
    mean, std = settings.get("mean") or [0, 0, 0], settings.get("std") or [1, 1, 1]
    if len(mean) != 3 or len(std) != 3 or not all(map(math.isfinite, (*mean, *std))):
        raise ValueError("data_preprocessor must have a mean and a std for each of three channels")
    return dict(
        mean=tuple(map(float, mean)),
        std=tuple(map(float, std)),
        # Images come in BGR order, as OpenCV decodes them; either option swaps red and blue.
        channels="rgb" if settings.get("bgr_to_rgb") or settings.get("rgb_to_bgr") else "bgr",
    )
