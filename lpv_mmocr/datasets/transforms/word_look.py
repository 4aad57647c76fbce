"""Test-time augmentation: another view of a word that is hard to read."""

from __future__ import annotations

import math

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmocr.registry import TRANSFORMS

LONGEST_SIDE = 1024
"""Larger images are reduced to this first: models see a hundred pixels or so, and a sheared photo
would take gigabytes."""
_SHORTEST_SIDE = 32

# OpenCV counts from the centre of the first pixel, we from its outer edge.
_TO_CENTRES = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])
_TO_EDGES = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])


@TRANSFORMS.register_module()
class WordLook(BaseTransform):
    """Shear and rotate an image, then pad or crop it.

    For test-time augmentation: a word that is tilted, slanted or badly cropped may be read
    correctly in another view, here called a look. The transform is deterministic. The canvas grows,
    so that no part is lost unless a margin is negative; new pixels repeat those at the edge. Images
    with a side of more than 1024 pixels are reduced first, very long ones along that side alone (so
    that angles are not kept).

    Args:
        turn: Counter-clockwise rotation in degrees, after shearing.
        slant: Shift of each row to the right relative to the row above, in pixels; positive values
            make letters that lean to the right upright.
        slope: Downward shift of each column relative to the column to its left, in pixels; positive
            values make rising words level, while their letters stay upright.
        margin: Fractions of width and of height added on either side at the end; negative values
            crop.
        tall_only: Whether to change only images that are taller than wide.

    Attributes:
        matrix: Linear part of the transform, shape (2, 2), for steps (x, y) in pixels.

    Raises:
        ValueError: If a number is not finite, a margin leaves nothing of the image, or shearing
            both ways flattens it.
    """

    def __init__(
        self,
        turn: float = 0,
        *,
        slant: float = 0,
        slope: float = 0,
        margin: tuple[float, float] = (0, 0),
        tall_only: bool = False,
    ) -> None:
        if np.shape(margin) != (2,) or not min(margin) > -0.5:
            raise ValueError(
                "margin must be two numbers above -0.5, at which nothing is left, one for the "
                f"width and one for the height; got {margin}"
            )
        if not np.isfinite([turn, slant, slope, *margin]).all():
            raise ValueError(
                f"turn, slant, slope and margin must be finite, got {turn}, {slant}, {slope} and "
                f"{tuple(margin)}"
            )
        if math.isclose(slant * slope, 1):
            raise ValueError(
                f"a slant of {slant} and a slope of {slope} flatten an image to a line; their "
                "product must not be 1"
            )
        angle = math.radians(turn)
        cos, sin = math.cos(angle), math.sin(angle)
        # y points down.
        self.matrix = np.array([[cos, sin], [-sin, cos]]) @ [[1, slant], [slope, 1]]
        self.margin, self.tall_only = tuple(margin), tall_only
        self._as_it_is = not any((turn, slant, slope, *margin))

    def applies(self, image: np.ndarray) -> bool:
        """Return whether an image of shape (H, W, 3) is changed."""
        if self._as_it_is:
            return False
        return image.shape[0] > image.shape[1] or not self.tall_only

    def look(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Apply the transform to an image.

        Args:
            image: Shape (H, W, 3), uint8.

        Returns:
            The new image, and the matrix (2, 3) that maps a point (x, y, 1) of the given image to
            the same point in the new one, in pixels from the upper left corner.
        """
        if not self.applies(image):
            return image, np.eye(2, 3)
        given_size = image.shape[1::-1]
        image = _downscaled(image)
        matrix, size = self._placed(*image.shape[:2])
        in_centres = _TO_CENTRES @ np.vstack([matrix, [0, 0, 1]]) @ _TO_EDGES
        changed = cv2.warpAffine(
            image, in_centres[:2], size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        matrix[:, :2] *= np.divide(image.shape[1::-1], given_size)
        return changed, matrix

    def _placed(self, height: int, width: int) -> tuple[np.ndarray, tuple[int, int]]:
        """Return the matrix of :meth:`look`, and width and height of the new image."""
        given = np.array([width, height])
        spanned = np.abs(self.matrix) @ given
        size = np.maximum(1, np.rint(spanned * (1 + 2 * np.array(self.margin)))).astype(int)
        shift = size / 2 - self.matrix @ given / 2
        return np.column_stack([self.matrix, shift]), (int(size[0]), int(size[1]))

    def transform(self, results: dict) -> dict:
        """Transform the image of a sample.

        Args:
            results: ``img``, (H, W, 3) uint8.

        Returns:
            The sample with the new ``img`` and its ``img_shape``.
        """
        image, _ = self.look(results["img"])
        return {**results, "img": image, "img_shape": image.shape[:2]}


LOOKS = (
    WordLook(90, tall_only=True),
    WordLook(-90, tall_only=True),
    WordLook(-10),
    WordLook(slant=0.3),
    WordLook(margin=(-0.04, -0.06)),
    WordLook(slope=0.4),
    WordLook(10),
)
"""Views that readers try in this order; the configs list the same for ``tools/test.py --tta``."""


def _downscaled(image: np.ndarray) -> np.ndarray:
    """Reduce an image that is too large, but keep every side long enough for reading."""
    height, width = image.shape[:2]
    scale = LONGEST_SIDE / max(height, width)
    if scale >= 1:
        return image
    size = tuple(max(min(side, _SHORTEST_SIDE), round(side * scale)) for side in (width, height))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
