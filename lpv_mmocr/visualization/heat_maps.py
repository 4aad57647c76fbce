"""Attention maps overlaid on a word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import matplotlib
import numpy as np

COLOUR_MAP = "inferno"
SURROUNDINGS = 0.3
"""Sigma of the blur to which each pixel is compared, as a fraction of the shorter side."""
FAINTEST, CLEAREST = 0.08, 0.65
"""Fractions of the image's contrast at which a letter starts to show, and shows fully."""
LIGHT = 170.0
"""Grey level of letters without attention."""
SHADE = 0.3
"""Brightness of letters with the most attention, as a fraction of the colour around them."""
MIN_SIZE = 20
"""Minimum width and height of a map in pixels; a narrower one would not be legible."""


@lru_cache(maxsize=1)
def _colours() -> np.ndarray:
    """Return the perceptually uniform colour map, float32 (256, 3)."""
    table = matplotlib.colormaps[COLOUR_MAP](np.arange(256))[:, :3]
    return (255 * table).astype(np.float32)


@dataclass(frozen=True)
class HeatScale:
    """Mapping from attention weights to colours.

    Attributes:
        top: Weight at and above which the colour is the brightest.
    """

    top: float

    @classmethod
    def of(cls, maps: Sequence[np.ndarray]) -> HeatScale:
        """Return a scale for maps of which a few may have sharp peaks.

        One map with a sharp peak must not leave all others dark: the top is the third quartile of
        the maps' maximum weights.

        Args:
            maps: Attention maps. NaN, as of a model that has diverged, counts as 0.
        """
        return cls(float(np.quantile([np.nan_to_num(weights).max() for weights in maps], 0.75)))

    def colour(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the colours of weights.

        Args:
            weights: Weights of any shape (...).

        Returns:
            Colours, float32 (..., 3), and positions on the scale, float32 (...), 0 to 1. Positions
            are square roots, so that weak attention is visible next to strong.
        """
        # If all weights are 0, so is the top.
        share = np.sqrt(np.clip(np.nan_to_num(weights) / max(self.top, 1e-9), 0, 1))
        share = share.astype(np.float32)
        return _colours()[(255 * share).round().astype(int)], share


def fitted_size(image_size: tuple[int, int], box: tuple[float, float]) -> tuple[int, int]:
    """Return the width and height of an image scaled to fit into a box.

    Args:
        image_size: Height and width of the image.
        box: Available width and height.

    Returns:
        Width and height; the aspect ratio is kept unless a side would be too short to see.
    """
    height, width = image_size
    scale = min(box[0] / width, box[1] / height)
    return max(MIN_SIZE, round(width * scale)), max(MIN_SIZE, round(height * scale))


def resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Scale an image to a width and height, smoothly."""
    method = cv2.INTER_AREA if size[0] < image.shape[1] else cv2.INTER_CUBIC
    return cv2.resize(image, size, interpolation=method)


def letters_of(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return how much each pixel stands out from its surroundings, be it darker or lighter.

    Light letters on dark ground and dark letters on light ground give the same result, so that
    heat maps over them look alike.

    Args:
        image: Image of the word, RGB uint8 (H, W, 3).
        size: Width w and height h to scale it to.

    Returns:
        How much each pixel stands out, float32 (h, w), 0 to 1.
    """
    grey = cv2.cvtColor(resized(image, size), cv2.COLOR_RGB2GRAY)
    # Stretch the contrast of faint words to the full range.
    word = cv2.normalize(grey, None, 0.0, 1.0, cv2.NORM_MINMAX, cv2.CV_32F)
    around = cv2.GaussianBlur(word, (0, 0), SURROUNDINGS * min(size))
    return np.clip((np.abs(word - around) - FAINTEST) / (CLEAREST - FAINTEST), 0, 1)


def heat_over_word(letters: np.ndarray, weights: np.ndarray, scale: HeatScale) -> np.ndarray:
    """Overlay an attention map on a word.

    The area around the letters has the colours of the scale, regardless of the word's own colours.
    Letters are grey where there is no attention, and dark where there is much.

    Args:
        letters: Word as returned by :func:`letters_of`, (H, W).
        weights: Attention map (h, w), stretched over the entire word.
        scale: Colour scale.

    Returns:
        RGB uint8 (H, W, 3).
    """
    # Linear, as cubic interpolation would go beyond the weights themselves.
    smooth = cv2.resize(
        weights.astype(np.float32), letters.shape[::-1], interpolation=cv2.INTER_LINEAR
    )
    colour, share = scale.colour(smooth)
    cover, share = letters[..., None], share[..., None]
    # Squared, so that letters and surroundings differ much in mid-scale, where most sums are.
    letter = (1 - share) ** 2 * LIGHT + share * SHADE * colour
    return ((1 - cover) * colour + cover * letter).round().astype(np.uint8)
