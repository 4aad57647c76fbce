"""Changes of tone and colour that photo software makes.

For posterise and solarise STR-Aug's levels run from strong to weak; here, as in all other
operations, magnitude 2 is the strong one. Invert, equalise and autocontrast have one strength.
"""

from __future__ import annotations

from random import Random

import cv2
import numpy as np

from .operations import operation

_POSTERIZE_BITS = (6, 3, 1)
_SOLARIZE_THRESHOLD = (192, 128, 64)
# Factors of sharpness and saturation; 1 would change nothing, so values near it are left out.
_ENHANCE_FACTORS = (((0.7, 0.9), (1.1, 1.3)), ((0.4, 0.7), (1.3, 1.6)), ((0.1, 0.4), (1.6, 1.9)))

# Solarise and posterise can map the text and its background to one value. Minimum fraction of the
# contrast (standard deviation of the grey image) that solarised images keep ...
_MIN_CONTRAST = 0.4
# ... and minimum correlation of posterised ones with the original.
_MIN_CORRELATION = 0.85


def _contrast(img: np.ndarray) -> float:
    return float(cv2.meanStdDev(cv2.cvtColor(img, cv2.COLOR_BGR2GRAY))[1][0, 0])


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Return the correlation of the grey images; 0 if one of them is constant."""
    grey_a, grey_b = (cv2.cvtColor(img, cv2.COLOR_BGR2GRAY).astype(np.float32) for img in (a, b))
    grey_a -= grey_a.mean()
    grey_b -= grey_b.mean()
    norm = cv2.norm(grey_a) * cv2.norm(grey_b)
    return float(np.vdot(grey_a, grey_b)) / norm if norm > 0 else 0.0


def reduce_bits(img: np.ndarray, bits: int) -> np.ndarray:
    """Keep the highest ``bits`` bits of every value."""
    return img & np.uint8(256 - 2 ** (8 - bits))


def solarize_above(img: np.ndarray, threshold: int) -> np.ndarray:
    """Invert all values of at least ``threshold``."""
    values = np.arange(256)
    return cv2.LUT(img, np.where(values < threshold, values, 255 - values).astype(np.uint8))


@operation("process")
def posterize(img: np.ndarray, magnitude: int, rng: Random) -> np.ndarray:
    """Keep 6 or 7, 3 or 4, or 1 or 2 bits; more if the text would blend into its background."""
    bits = _POSTERIZE_BITS[magnitude] + rng.randrange(2)
    reduced = reduce_bits(img, bits)
    while bits < 7 and _correlation(img, reduced) < _MIN_CORRELATION:
        bits += 1
        reduced = reduce_bits(img, bits)
    return reduced


@operation("process")
def solarize(img: np.ndarray, magnitude: int, rng: Random) -> np.ndarray:
    """Invert values from a random threshold upwards: 192 to 255, 128 to 191 or 64 to 127.

    If less than 0.4 of the contrast would remain, e.g. because bright text on dark turns as dark as
    its background, the result is mixed half and half with the original.
    """
    threshold = _SOLARIZE_THRESHOLD[magnitude] + rng.randrange(64)
    # Even in a dark image, something is inverted.
    solarized = solarize_above(img, min(threshold, int(img.max())))
    if _contrast(solarized) < _MIN_CONTRAST * _contrast(img):
        return cv2.addWeighted(img, 0.5, solarized, 0.5, 0.0)
    return solarized


@operation("process")
def invert(img: np.ndarray, magnitude: int, rng: Random) -> np.ndarray:
    """Turn the image into its negative."""
    return cv2.bitwise_not(img)


@operation("process")
def equalize(img: np.ndarray, magnitude: int, rng: Random) -> np.ndarray:
    """Spread the values of every channel so that their histogram becomes flat."""
    histograms = [
        cv2.calcHist([img], [channel], None, [256], [0, 256]).ravel() for channel in range(3)
    ]
    counts = np.stack(histograms, axis=1).astype(np.int64)
    below = np.cumsum(counts, axis=0) - counts
    # All pixels but the brightest share the levels; a constant channel is left unchanged.
    step = below.max(axis=0, where=counts > 0, initial=0) // 255
    flat = step == 0
    step[flat] = 1
    table = np.minimum((step // 2 + below) // step, 255)
    table[:, flat] = np.arange(256)[:, None]
    return cv2.LUT(img, table.astype(np.uint8)[None])


@operation("process")
def autocontrast(img: np.ndarray, magnitude: int, rng: Random) -> np.ndarray:
    """Stretch every channel to the full range; a channel that already covers it is unchanged."""
    extremes = np.array([cv2.minMaxLoc(channel)[:2] for channel in cv2.split(img)])
    low, spread = extremes[:, 0], extremes[:, 1] - extremes[:, 0]
    scale = np.divide(255, spread, out=np.ones_like(low), where=spread > 0)
    table = (np.arange(256)[:, None] - np.where(spread > 0, low, 0)) * scale
    return cv2.LUT(img, np.clip(table, 0, 255).astype(np.uint8)[None])


def _enhance(plain: np.ndarray, img: np.ndarray, magnitude: int, rng: Random) -> np.ndarray:
    """Move the image towards its plain version (factor < 1) or away from it (factor > 1)."""
    factor = rng.uniform(*_ENHANCE_FACTORS[magnitude][rng.randrange(2)])
    return cv2.addWeighted(plain, 1 - factor, img, factor, 0.0)


_SMOOTHING = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]], np.float32) / 13


@operation("process")
def sharpness(img: np.ndarray, magnitude: int, rng: Random) -> np.ndarray:
    """Soften or sharpen."""
    return _enhance(cv2.filter2D(img, -1, _SMOOTHING), img, magnitude, rng)


@operation("process")
def color(img: np.ndarray, magnitude: int, rng: Random) -> np.ndarray:
    """Reduce or increase the saturation; a grey image is unchanged."""
    grey = cv2.cvtColor(cv2.cvtColor(img, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    return _enhance(grey, img, magnitude, rng)
