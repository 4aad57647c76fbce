"""Black lines over the image, as from a fence, a mesh or a screen.

Lines are one pixel wide and 3, 2 or 1 pixels apart; in a grid, which has lines in both directions,
a pixel more. The position of the first line is random, so that a model does not learn to read fixed
columns only. Masks are cached per image size, period and offset.
"""

from __future__ import annotations

from random import Random

import cv2
import numpy as np

from .cache import cached_array
from .operations import NUM_MAGNITUDES, operation


def _period(magnitude: int) -> int:
    return NUM_MAGNITUDES - magnitude + 1


def _as_image(visible: np.ndarray) -> np.ndarray:
    """Turn a visibility map (H, W) into a bit mask, uint8 (H, W, 3)."""
    return cv2.cvtColor(np.where(visible, 255, 0).astype(np.uint8), cv2.COLOR_GRAY2BGR)


@cached_array
def line_mask(
    height: int, width: int, period: int, column: int | None, row: int | None
) -> np.ndarray:
    """Return a mask of straight lines, uint8 (H, W, 3): 0 on lines, 255 between them.

    Args:
        height: Image height.
        width: Image width.
        period: Distance from one line to the next in pixels.
        column: Position of the first vertical line; None for no vertical lines.
        row: Position of the first horizontal line; None for no horizontal lines.
    """
    visible = np.ones((height, width), bool)
    if column is not None:
        visible[:, column::period] = False
    if row is not None:
        visible[row::period] = False
    return _as_image(visible)


@cached_array
def ring_mask(height: int, width: int, period: int, first: int, elliptic: bool) -> np.ndarray:
    """Return a mask of nested rectangles or ellipses, uint8 (H, W, 3): 0 on lines.

    Args:
        height: Image height.
        width: Image width.
        period: Vertical distance from one ring to the next in pixels.
        first: Half the height of the innermost ring.
        elliptic: Whether to draw ellipses instead of rectangles.
    """
    canvas = np.full((height, width), 255, np.uint8)
    centre_x, centre_y = width // 2, height // 2
    # Ellipses must reach the corners, which are √2 times as far out as the edges.
    reach = round(height * 0.75) if elliptic else height // 2
    for radius in range(first, reach + 1, period):
        across = round(radius * width / height)
        if elliptic:
            cv2.ellipse(canvas, (centre_x, centre_y), (across, radius), 0, 0, 360, 0, 1)
        else:
            corner = (centre_x - across, centre_y - radius)
            opposite = (centre_x + across, centre_y + radius)
            cv2.rectangle(canvas, corner, opposite, 0, 1)
    return _as_image(canvas > 0)


@operation("pattern")
def vertical_lines(img: np.ndarray, magnitude: int, rng: Random) -> np.ndarray:
    """Cover every fourth, third or second column."""
    period = _period(magnitude)
    mask = line_mask(*img.shape[:2], period, rng.randrange(period), None)
    return cv2.bitwise_and(img, mask)


@operation("pattern")
def horizontal_lines(img: np.ndarray, magnitude: int, rng: Random) -> np.ndarray:
    """Cover every fourth, third or second row."""
    period = _period(magnitude)
    mask = line_mask(*img.shape[:2], period, None, rng.randrange(period))
    return cv2.bitwise_and(img, mask)


@operation("pattern")
def grid(img: np.ndarray, magnitude: int, rng: Random) -> np.ndarray:
    """Cover every fifth, fourth or third column and row."""
    period = _period(magnitude) + 1
    mask = line_mask(*img.shape[:2], period, rng.randrange(period), rng.randrange(period))
    return cv2.bitwise_and(img, mask)


@operation("pattern")
def rectangle_grid(img: np.ndarray, magnitude: int, rng: Random) -> np.ndarray:
    """Cover the image with nested rectangles of its proportions."""
    period = _period(magnitude)
    return cv2.bitwise_and(img, ring_mask(*img.shape[:2], period, 1 + rng.randrange(period), False))


@operation("pattern")
def ellipse_grid(img: np.ndarray, magnitude: int, rng: Random) -> np.ndarray:
    """Cover the image with nested ellipses of its proportions."""
    period = _period(magnitude)
    return cv2.bitwise_and(img, ring_mask(*img.shape[:2], period, 1 + rng.randrange(period), True))
