"""Changes of the camera position: rotation, perspective, distance.

All operations fill with black and interpolate linearly; content stays inside the image.
"""

from __future__ import annotations

import math
from random import Random

import cv2
import numpy as np

from .operations import operation

_MAX_DEGREES = (10, 20, 30)
_SIDE_LOSS = (0.1, 0.18, 0.26)
_SHRINK_FRACTION = (0.2, 0.3, 0.4)


def rotate_about_centre(img: np.ndarray, degrees: float) -> np.ndarray:
    """Rotate the image as if it were square, and fit the corners into the frame.

    The rotation takes place in a square frame and the result is scaled back to the image's own
    proportions, as in STR-Aug; in a wide image the text therefore slopes less than ``degrees`` and
    leans.

    Args:
        img: uint8 (H, W, 3).
        degrees: Anticlockwise angle in the square frame.
    """
    height, width = img.shape[:2]
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    expansion = abs(cos) + abs(sin)
    inverse = expansion * np.array(
        [[cos, -sin * width / height], [sin * height / width, cos]], dtype=np.float64
    )
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    matrix = np.column_stack([inverse, centre - inverse @ centre])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(img, matrix, (width, height), flags=flags)


@operation("geometry")
def rotate(img: np.ndarray, magnitude: int, rng: Random) -> np.ndarray:
    """Rotate by 2 to 10, 10 to 20 or 20 to 30 degrees, either way."""
    degrees = rng.uniform(max(_MAX_DEGREES[magnitude] - 10, 2), _MAX_DEGREES[magnitude])
    return rotate_about_centre(img, degrees if rng.random() < 0.5 else -degrees)


@operation("geometry")
def perspective(img: np.ndarray, magnitude: int, rng: Random) -> np.ndarray:
    """Turn the image about its vertical axis: the left or right edge becomes shorter."""
    height, width = img.shape[:2]
    low = _SIDE_LOSS[magnitude]
    top = rng.uniform(low, low + 0.08) * height
    bottom = height - rng.uniform(low, low + 0.08) * height
    corners = np.array([[0, 0], [width, 0], [0, height], [width, height]], np.float32)
    moved = corners.copy()
    side = rng.randrange(2)
    moved[side, 1], moved[side + 2, 1] = top, bottom
    matrix = cv2.getPerspectiveTransform(corners, moved)
    return cv2.warpPerspective(img, matrix, (width, height), flags=cv2.INTER_LINEAR)


@operation("geometry")
def shrink(img: np.ndarray, magnitude: int, rng: Random) -> np.ndarray:
    """Shrink the image and move it up, down, left or right within the freed margin."""
    height, width = img.shape[:2]
    fraction = _SHRINK_FRACTION[magnitude]
    margin_x = rng.uniform(fraction - 0.1, fraction) * width / 3
    margin_y = rng.uniform(fraction - 0.1, fraction) * height / 2
    offset = rng.uniform(-1, 1)
    left, top = margin_x, margin_y
    if rng.random() < 0.5:
        left += offset * margin_x
    else:
        top += offset * margin_y
    matrix = np.array(
        [[1 - 2 * margin_x / width, 0, left], [0, 1 - 2 * margin_y / height, top]],
        dtype=np.float64,
    )
    return cv2.warpAffine(img, matrix, (width, height), flags=cv2.INTER_LINEAR)
