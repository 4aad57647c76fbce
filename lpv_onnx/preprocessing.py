"""Making images for the network, as the training did."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from PIL import Image


def prepare(image: Image.Image, settings: dict[str, Any]) -> np.ndarray:
    """Make an image for the network, as the test pipeline of the training does.

    Args:
        image: A picture in RGB.
        settings: Entry ``preprocessing`` of the file's metadata.

    Returns:
        Array (3, H, W), float32, normalised.
    """
    pixels = np.asarray(_resize(image, settings))
    if settings["channels"] == "bgr":
        pixels = pixels[..., ::-1]
    mean, std = (np.asarray(settings[name], np.float32) for name in ("mean", "std"))
    return ((pixels.astype(np.float32) - mean) / std).transpose(2, 0, 1)


def _resize(image: Image.Image, settings: dict[str, Any]) -> Image.Image:
    height, width = settings["height"], settings["width"]
    resample = Image.Resampling[settings["interpolation"].upper()]
    ratio = settings["keep_ratio"]
    if ratio is None:
        return image.resize((width, height), resample)
    # As MMOCR's RescaleToHeight computes it, rounding included.
    natural = math.ceil(float(height) / image.height * image.width)
    natural = min(ratio["max_width"], max(ratio["min_width"], natural))
    if natural % ratio["divisor"]:
        natural = round(natural / ratio["divisor"]) * ratio["divisor"]
    padded = Image.new("RGB", (width, height), (ratio["fill"],) * 3)
    padded.paste(image.resize((natural, height), resample))
    return padded
