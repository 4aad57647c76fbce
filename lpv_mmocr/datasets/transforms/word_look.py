"""Another look at a word that is hard to read."""

from __future__ import annotations

import math

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmocr.registry import TRANSFORMS

LONGEST_SIDE = 1024
"""Larger pictures are made smaller first: models see a hundred pixels or so, and a photo that is
sheared would take gigabytes."""
_SHORTEST_SIDE = 32

# OpenCV counts from the centre of the first pixel, we from its outer edge.
_TO_CENTRES = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])
_TO_EDGES = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])


@TRANSFORMS.register_module()
class WordLook(BaseTransform):
    """Shears and turns a picture, and takes more or less around it.

    For test-time augmentation: a word that is tilted, slanted or cut badly may be read well when it
    is seen otherwise. What to do is fixed, nothing is drawn by chance. The canvas grows, so that no
    part is lost; new pixels repeat those at the edge. Pictures with a side of more than 1024 pixels
    are made smaller first, very long ones along that side alone (so that angles are not kept).

    Args:
        turn: Degrees by which the picture is turned counter-clockwise, after shearing.
        slant: How far each row is moved to the right of the one above, in pixels; where it is
            positive, letters that lean to the right stand upright.
        slope: How far each column is moved below the one to its left, in pixels; where it is
            positive, words that climb lie level, and their letters stay upright.
        margin: Parts of width and height that are added on either side in the end; where they are
            negative, they are cut off.
        tall_only: Leave pictures that are not higher than wide as they are.

    Attributes:
        matrix: Shape (2, 2), what becomes of a step to the right and down, in pixels.

    Raises:
        ValueError: If a number is not finite, a margin leaves nothing of the picture, or shearing
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
                f"a slant of {slant} and a slope of {slope} flatten a picture to a line; their "
                "product must not be 1"
            )
        angle = math.radians(turn)
        cos, sin = math.cos(angle), math.sin(angle)
        # y points down.
        self.matrix = np.array([[cos, sin], [-sin, cos]]) @ [[1, slant], [slope, 1]]
        self.margin, self.tall_only = tuple(margin), tall_only
        self._as_it_is = not any((turn, slant, slope, *margin))

    def applies(self, image: np.ndarray) -> bool:
        """Whether anything is done to a picture of shape (H, W, 3)."""
        if self._as_it_is:
            return False
        return image.shape[0] > image.shape[1] or not self.tall_only

    def look(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Change a picture.

        Args:
            image: Shape (H, W, 3), uint8.

        Returns:
            The picture as it looks now, and the matrix (2, 3) that leads from a point (x, y, 1) of
            the given picture to the same point there, in pixels from the upper left corner.
        """
        if not self.applies(image):
            return image, np.eye(2, 3)
        given_size = image.shape[1::-1]
        image = _not_too_large(image)
        matrix, size = self._placed(*image.shape[:2])
        in_centres = _TO_CENTRES @ np.vstack([matrix, [0, 0, 1]]) @ _TO_EDGES
        changed = cv2.warpAffine(
            image, in_centres[:2], size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        matrix[:, :2] *= np.divide(image.shape[1::-1], given_size)
        return changed, matrix

    def _placed(self, height: int, width: int) -> tuple[np.ndarray, tuple[int, int]]:
        """The matrix of :meth:`look`, and width and height of the picture it leads to."""
        given = np.array([width, height])
        spanned = np.abs(self.matrix) @ given
        size = np.maximum(1, np.rint(spanned * (1 + 2 * np.array(self.margin)))).astype(int)
        shift = size / 2 - self.matrix @ given / 2
        return np.column_stack([self.matrix, shift]), (int(size[0]), int(size[1]))

    def transform(self, results: dict) -> dict:
        """Change the picture of a sample.

        Args:
            results: ``img``, (H, W, 3) uint8.

        Returns:
            The sample with ``img`` changed and ``img_shape`` after it.
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
"""What readers try one after the other; the configs have the same for ``tools/test.py --tta``."""


def _not_too_large(image: np.ndarray) -> np.ndarray:
    """Make a picture smaller, but no side shorter than it has to be for reading."""
    height, width = image.shape[:2]
    scale = LONGEST_SIDE / max(height, width)
    if scale >= 1:
        return image
    size = tuple(max(min(side, _SHORTEST_SIDE), round(side * scale)) for side in (width, height))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
