"""Conversion of images to the network's input images, as in training."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from PIL import Image


def prepare(image: Image.Image, settings: dict[str, Any]) -> np.ndarray:
    """Convert an image to an input image, as the config's test pipeline does.

    Args:
        image: Image in RGB.
        settings: Entry ``preprocessing`` of the file's metadata.

    Returns:
        Array (3, H, W), float32, normalised.
    """
    pixels = np.asarray(_resize(image, settings))
    if settings["channels"] == "bgr":
        pixels = pixels[..., ::-1]
    mean, std = (np.asarray(settings[name], np.float32) for name in ("mean", "std"))
    return ((pixels.astype(np.float32) - mean) / std).transpose(2, 0, 1)


def shown(image: Image.Image, settings: dict[str, Any]) -> Image.Image:
    """Return the image with the padding that the network sees, which attention maps cover too.

    Args:
        image: Image in RGB.
        settings: Entry ``preprocessing`` of the file's metadata.
    """
    ratio = settings["keep_ratio"]
    if ratio is None:
        return image
    width = round(image.width * settings["width"] / _natural_width(image, settings))
    padded = Image.new("RGB", (width, image.height), (ratio["fill"],) * 3)
    padded.paste(image)
    return padded


def _resize(image: Image.Image, settings: dict[str, Any]) -> Image.Image:
    height, width = settings["height"], settings["width"]
    resample = Image.Resampling[settings["interpolation"].upper()]
    ratio = settings["keep_ratio"]
    if ratio is None:
        return image.resize((width, height), resample)
    padded = Image.new("RGB", (width, height), (ratio["fill"],) * 3)
    padded.paste(image.resize((_natural_width(image, settings), height), resample))
    return padded


def _natural_width(image: Image.Image, settings: dict[str, Any]) -> int:
    """Return an image's width at the network's height, rounded as MMOCR's RescaleToHeight does.

    That would round a narrow image to a width of 0 if ``min_width`` is small; here one is left.
    """
    ratio = settings["keep_ratio"]
    natural = math.ceil(float(settings["height"]) / image.height * image.width)
    natural = min(ratio["max_width"], max(ratio["min_width"], natural))
    if natural % ratio["divisor"]:
        natural = max(1, round(natural / ratio["divisor"])) * ratio["divisor"]
    return natural
