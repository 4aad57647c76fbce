"""Attention maps laid over a word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import matplotlib
import numpy as np

COLOUR_MAP = "inferno"
SURROUNDINGS = 0.3
"""Reach of what a pixel is compared with to tell letters from what is around them, in parts of the
shorter side."""
FAINTEST, CLEAREST = 0.08, 0.65
"""Contrast, in parts of the picture's whole, from which on a letter shows, and shows fully."""
LIGHT = 170.0
"""Grey of letters where nothing was looked at."""
SHADE = 0.3
"""Brightness of letters where most was looked at, in parts of the colour around them."""
SMALLEST = 20
"""Least width and height of a map, in pixels: a narrower one could not be made out."""


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

    Returns:
        Width and height; proportions are kept unless a side would be too short to see.
    """
    height, width = image_size
    scale = min(box[0] / width, box[1] / height)
    return max(SMALLEST, round(width * scale)), max(SMALLEST, round(height * scale))


def resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Scale a picture to a width and height, smoothly."""
    method = cv2.INTER_AREA if size[0] < image.shape[1] else cv2.INTER_CUBIC
    return cv2.resize(image, size, interpolation=method)


def letters_of(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Find what stands out from its surroundings, be it darker or lighter.

    Light letters on a dark ground and dark ones on a light ground come out alike, so that a heat
    map over them looks alike.

    Args:
        image: Word, RGB uint8 (H, W, 3).
        size: Width w and height h to scale it to.

    Returns:
        How much each pixel stands out, float32 (h, w), 0 to 1.
    """
    grey = cv2.cvtColor(resized(image, size), cv2.COLOR_RGB2GRAY)
    # Faint words are shown with all the contrast there is.
    word = cv2.normalize(grey, None, 0.0, 1.0, cv2.NORM_MINMAX, cv2.CV_32F)
    around = cv2.GaussianBlur(word, (0, 0), SURROUNDINGS * min(size))
    return np.clip((np.abs(word - around) - FAINTEST) / (CLEAREST - FAINTEST), 0, 1)


def heat_over_word(letters: np.ndarray, weights: np.ndarray, scale: HeatScale) -> np.ndarray:
    """Lay an attention map over a word.

    What is around the letters has the colours of the scale, whatever the word looks like. Letters
    are grey where nothing was looked at, and shadows where much was.

    Args:
        letters: Word as :func:`letters_of` finds it, (H, W).
        weights: Attention map (h, w), stretched over the whole word.
        scale: The scale of colours.

    Returns:
        RGB uint8 (H, W, 3).
    """
    # Not beyond the weights themselves, as a cubic interpolation would go.
    smooth = cv2.resize(
        weights.astype(np.float32), letters.shape[::-1], interpolation=cv2.INTER_LINEAR
    )
    colour, share = scale.colour(smooth)
    cover, share = letters[..., None], share[..., None]
    # Squared, so that the two are far apart in the middle of the scale, where most sums are.
    letter = (1 - share) ** 2 * LIGHT + share * SHADE * colour
    return ((1 - cover) * colour + cover * letter).round().astype(np.uint8)
