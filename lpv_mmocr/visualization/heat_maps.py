"""Attention maps laid over a word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import matplotlib
import numpy as np

COLOUR_MAP = "inferno"
BRIGHTNESS = 0.45
"""Brightness of the word where nothing was looked at."""
STRENGTH = 0.85
"""How much the strongest attention covers the word."""


@lru_cache(maxsize=1)
def _colours() -> np.ndarray:
    """The perceptual colour map, float32 (256, 3)."""
    table = matplotlib.colormaps[COLOUR_MAP](np.arange(256))[:, :3]
    return (255 * table).astype(np.float32)


@dataclass(frozen=True)
class HeatScale:
    """From attention weights to colours.

    Attributes:
        top: Weight from which on the colour is the brightest.
    """

    top: float

    @classmethod
    def of(cls, maps: Sequence[np.ndarray]) -> HeatScale:
        """Make the scale on which most maps reach the brightest colours.

        One map with a sharp peak must not leave all others dark: the top is the third quartile of
        the maps' highest weights.

        Args:
            maps: Attention maps.
        """
        return cls(float(np.quantile([weights.max() for weights in maps], 0.75)))

    def colour(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Colours of weights.

        Args:
            weights: Any shape (...).

        Returns:
            Colours, float32 (..., 3), and the share of the scale, float32 (...), 0 to 1. Square
            roots, so that weak attention shows beside strong.
        """
        # Where all weights are 0, so is the top.
        share = np.sqrt(np.clip(weights / max(self.top, 1e-9), 0, 1)).astype(np.float32)
        return _colours()[(255 * share).round().astype(int)], share


def fitted_size(image_size: tuple[int, int], box: tuple[float, float]) -> tuple[int, int]:
    """Width and height of a picture that is scaled into a box.

    Args:
        image_size: Height and width of the picture.
        box: Width and height that there are.
    """
    height, width = image_size
    scale = min(box[0] / width, box[1] / height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Scale a picture to a width and height, smoothly."""
    method = cv2.INTER_AREA if size[0] < image.shape[1] else cv2.INTER_CUBIC
    return cv2.resize(image, size, interpolation=method)


def heat_over_word(
    image: np.ndarray, weights: np.ndarray, size: tuple[int, int], scale: HeatScale
) -> np.ndarray:
    """Lay an attention map over a word.

    The word is shown dim and grey, and shines through where attention is strong.

    Args:
        image: Word, RGB uint8 (H, W, 3).
        weights: Attention map (h, w), stretched over the whole word.
        size: Width and height of the result.
        scale: The scale of colours.

    Returns:
        RGB uint8 of that size.
    """
    grey = cv2.cvtColor(resized(image, size), cv2.COLOR_RGB2GRAY)
    # Faint words are shown with all the contrast there is.
    word = cv2.normalize(grey, None, 0.0, 1.0, cv2.NORM_MINMAX, cv2.CV_32F)[..., None]
    # Not beyond the weights themselves, as a cubic interpolation would go.
    smooth = cv2.resize(weights.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    colour, share = scale.colour(smooth)
    cover = STRENGTH * share[..., None]
    dim = BRIGHTNESS * 255 * word
    return ((1 - cover) * dim + cover * colour * (0.55 + 0.45 * word)).round().astype(np.uint8)
