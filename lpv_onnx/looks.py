"""Test-time augmentation: other views of words that are hard to read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from PIL import Image

LONGEST_SIDE = 1024
SHORTEST_SIDE = 32

Word = TypeVar("Word")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Look:
    """Shear and rotation of an image, followed by padding or cropping.

    It does with NumPy and Pillow what ``WordLook`` of ``lpv_mmocr`` does with OpenCV; see there for
    the reasons.

    Attributes:
        matrix: Linear part of the transform, shape (2, 2), for steps (x, y) in pixels.
        margin: Fractions of width and height added on either side; negative values crop.
        tall_only: Whether to change only images that are taller than wide.

    Raises:
        ValueError: If a value is not numeric, has the wrong shape or is not finite, or nothing of
            an image would be left.
    """

    matrix: Sequence[Sequence[float]]
    margin: Sequence[float] = (0.0, 0.0)
    tall_only: bool = False

    def __post_init__(self) -> None:
        """Check the values."""
        matrix, margin = np.array(self.matrix, float), np.array(self.margin, float)
        if matrix.shape != (2, 2) or margin.shape != (2,):
            raise ValueError("matrix must be two rows of two numbers, margin two numbers")
        if not np.isfinite([*matrix.flat, *margin]).all() or np.linalg.det(matrix) == 0:
            raise ValueError("matrix and margin must be finite, and matrix invertible")
        if margin.min() <= -0.5:
            raise ValueError("margin must be above -0.5, at which nothing is left")

    def __call__(self, image: Image.Image) -> Image.Image | None:
        """Apply the transform to an image.

        Args:
            image: Image in RGB.

        Returns:
            The new image; None if the look does not apply.
        """
        if self.tall_only and image.height <= image.width:
            return None
        image = _downscaled(image)
        given, matrix = np.array(image.size), np.array(self.matrix, float)
        spanned = np.abs(matrix) @ given * (1 + 2 * np.array(self.margin))
        size = np.maximum(1, np.rint(spanned)).astype(int)
        # Position of each new pixel's centre in the old image, relative to its middle. Below, a
        # coordinate of 0 is the centre of the first pixel.
        steps = np.meshgrid(*(np.arange(side) + 0.5 - side / 2 for side in size))
        x, y = np.tensordot(np.linalg.inv(matrix), steps, 1)
        return Image.fromarray(
            _interpolate(np.asarray(image), x + (given[0] - 1) / 2, y + (given[1] - 1) / 2)
        )


def read_with_tta(
    read: Callable[[list[Word]], Sequence[Result]],
    words: Sequence[Word],
    looks: Sequence[Callable[[Word], Word | None]],
    *,
    confidence: Callable[[Result], float],
    sure: float,
) -> list[tuple[Result, Word]]:
    """Read words, try other views where confidence is low, and keep the most confident reading.

    Views are tried one at a time, and only the best one of each word is kept, so that memory does
    not grow with the number of views.

    Args:
        read: Callback that reads one or more words; it gets an empty list only if ``words`` is.
        words: Images of words.
        looks: Views to try in this order; each returns the changed word, or None if it does not
            apply.
        confidence: Callback that returns the confidence of a result, 0..1.
        sure: Confidence from which no further view is tried.

    Returns:
        For each word, the most confident result and the view that it came from; on ties, the
        earlier one.
    """
    best = list(zip(read(list(words)), words, strict=True))
    for look in looks:
        changed = {
            number: seen
            for number, word in enumerate(words)
            if confidence(best[number][0]) < sure and (seen := look(word)) is not None
        }
        if not changed:
            continue
        results = read(list(changed.values()))
        for (number, seen), result in zip(changed.items(), results, strict=True):
            if confidence(result) > confidence(best[number][0]):
                best[number] = (result, seen)
    return best


def _downscaled(image: Image.Image) -> Image.Image:
    scale = LONGEST_SIDE / max(image.size)
    if scale >= 1:
        return image
    size = tuple(max(min(side, SHORTEST_SIDE), round(side * scale)) for side in image.size)
    return image.resize(size, Image.Resampling.BOX)


def _interpolate(pixels: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Interpolate bilinearly; outside the image, its edge is repeated."""
    height, width = pixels.shape[:2]
    x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
    left, top = x.astype(int), y.astype(int)
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    along, down = ((part % 1).astype(np.float32)[..., None] for part in (x, y))
    above = pixels[top, left] * (1 - along) + pixels[top, right] * along
    below = pixels[bottom, left] * (1 - along) + pixels[bottom, right] * along
    return np.rint(above * (1 - down) + below * down).astype(np.uint8)
