"""Sensor noise, independent from pixel to pixel and from channel to channel."""

from __future__ import annotations

from random import Random

import cv2
import numpy as np

from .cache import cached_array
from .fields import normal_field, uniform_field
from .operations import operation

_GAUSSIAN_SCALE = (0.08, 0.10, 0.12)
_SHOT_PHOTONS = (13, 8, 5)
_IMPULSE_SHARE = (0.03, 0.07, 0.11)
_SPECKLE_SCALE = (0.15, 0.20, 0.25)

# The Poisson table resolves 2**10 quantiles.
_QUANTILE_BITS = 10


@operation("noise")
def gaussian_noise(img: np.ndarray, magnitude: int, rng: Random) -> np.ndarray:
    """Add normal noise of standard deviation 0.08 to 0.15 of the full range."""
    scale = rng.uniform(0, 0.03) + _GAUSSIAN_SCALE[magnitude]
    noise = normal_field(img.shape, rng)
    return cv2.addWeighted(img, 1.0, noise, scale * 255, 0.0, dtype=cv2.CV_8U)


@cached_array
def poisson_table(photons: int) -> np.ndarray:
    """Return the brightness that a pixel shows at each quantile, uint8 (256 · 1024,).

    Row ``v`` (of 256) belongs to a pixel of brightness ``v``, which sends ``v / 255 · photons``
    photons on average; column ``q`` holds the quantile ``(q + 0.5) / 1024`` of what arrives.
    """
    quantiles = (np.arange(2**_QUANTILE_BITS) + 0.5) / 2**_QUANTILE_BITS
    rate = np.arange(256) / 255 * photons
    # Far beyond the 0.9995 quantile of the largest rate.
    counts = np.arange(1, photons + int(8 * photons**0.5) + 8)
    first = np.exp(-rate)[:, None]
    terms = first * np.cumprod(rate[:, None] / counts, axis=1)
    cumulative = np.cumsum(np.concatenate([first, terms], axis=1), axis=1)
    arrived = np.stack([np.searchsorted(row, quantiles) for row in cumulative])
    return np.rint(np.minimum(arrived / photons, 1) * 255).astype(np.uint8).ravel()


@operation("noise")
def shot_noise(img: np.ndarray, magnitude: int, rng: Random) -> np.ndarray:
    """Count photons: Poisson noise with 13 to 20, 8 to 15 or 5 to 12 photons at full white."""
    table = poisson_table(_SHOT_PHOTONS[magnitude] + rng.randrange(8))
    index = uniform_field(img.shape, rng) >> (16 - _QUANTILE_BITS)
    return table.take(index + (img.astype(np.intp) << _QUANTILE_BITS))


@operation("noise")
def impulse_noise(img: np.ndarray, magnitude: int, rng: Random) -> np.ndarray:
    """Replace 3 to 15 % of all values by black or white, half each."""
    share = _IMPULSE_SHARE[magnitude] + rng.uniform(0, 0.04)
    field = uniform_field(img.shape, rng)
    half = round(share / 2 * 2**16)
    # White is "all bits set" and black "no bit set", so that two masks suffice, without branches.
    white = (field < half).view(np.uint8) * np.uint8(255)
    kept = (field < 2**16 - half).view(np.uint8) * np.uint8(255)
    return cv2.bitwise_and(cv2.bitwise_or(img, white), kept)


@operation("noise")
def speckle_noise(img: np.ndarray, magnitude: int, rng: Random) -> np.ndarray:
    """Multiply by normal noise about 1, of standard deviation 0.15 to 0.30."""
    scale = _SPECKLE_SCALE[magnitude] + rng.uniform(0, 0.05)
    factor = normal_field(img.shape, rng) * np.float32(scale)
    factor += 1
    return cv2.multiply(img, factor, dtype=cv2.CV_8U)
