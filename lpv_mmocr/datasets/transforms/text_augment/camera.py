"""Effects of a camera and its file format: exposure, compression, low resolution."""

from __future__ import annotations

from random import Random

import cv2
import numpy as np

from .operations import operation

_CONTRAST_FACTOR = (0.4, 0.3, 0.2)
_BRIGHTNESS_GAIN = (0.1, 0.2, 0.3)
_JPEG_QUALITY = (25, 18, 15)
_PIXEL_FACTOR = (0.6, 0.5, 0.4)


@operation("camera")
def contrast(img: np.ndarray, magnitude: int, rng: Random) -> np.ndarray:
    """Bring every channel closer to its mean, by a factor of 0.4, 0.3 or 0.2."""
    factor = _CONTRAST_FACTOR[magnitude]
    mean = np.array(cv2.mean(img)[:3])
    values = np.arange(256)[:, None]
    table = np.rint((values - mean) * factor + mean).astype(np.uint8)
    return cv2.LUT(img, table[None])


@operation("camera")
def brightness(img: np.ndarray, magnitude: int, rng: Random) -> np.ndarray:
    """Raise the value of the HSV colour model by 0.1, 0.2 or 0.3; hue and saturation stay.

    Raising the value ``v`` by ``d`` multiplies all three channels by ``(v + d) / v``, without a
    colour conversion. A black pixel has neither hue nor saturation and becomes grey.
    """
    gain = 255 * _BRIGHTNESS_GAIN[magnitude]
    values = np.arange(256, dtype=np.float32)
    factors = np.minimum(values + gain, 255) / np.maximum(values, 1)
    blue, green, red = cv2.split(img)
    value = cv2.max(cv2.max(blue, green), red)
    factor = cv2.cvtColor(cv2.LUT(value, factors[None]), cv2.COLOR_GRAY2BGR)
    brighter = cv2.multiply(img, factor, dtype=cv2.CV_8U)
    brighter[value == 0] = round(gain)
    return brighter


@operation("camera")
def jpeg(img: np.ndarray, magnitude: int, rng: Random) -> np.ndarray:
    """Compress as JPEG of quality 25, 18 or 15 and decode."""
    options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY[magnitude]]
    return cv2.imdecode(cv2.imencode(".jpg", img, options)[1], cv2.IMREAD_COLOR)


@operation("camera")
def pixelate(img: np.ndarray, magnitude: int, rng: Random) -> np.ndarray:
    """Reduce both sides to 0.6, 0.5 or 0.4 of their length and enlarge the pixels as squares."""
    height, width = img.shape[:2]
    factor = _PIXEL_FACTOR[magnitude]
    reduced = (max(int(width * factor), 1), max(int(height * factor), 1))
    small = cv2.resize(img, reduced, interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST)
