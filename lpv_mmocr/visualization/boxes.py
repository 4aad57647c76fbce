"""Character boxes from the attention maps."""

from __future__ import annotations

import numpy as np

# Chosen on rendered words (seed 77), where the truth is known; docs/attention.md has measurements
# on other words.
ACROSS = (0.12, 0.88)
"""Extent of letters across the line, in fractions of the crop."""
ALONE = (0.1, 0.9)
"""Extent of a single letter along the line, in fractions of the crop."""
FILLED = 0.9
"""Fraction of the space between two boundaries that a letter takes."""
REACH = 0.75
"""Outward reach of the first and the last letter, in distances between letters."""
EDGE = 0.02
"""Fraction of the crop that is kept free before the first letter and after the last."""


def character_boxes(
    attn_maps: np.ndarray, num_chars: int, image_size: tuple[int, int]
) -> np.ndarray:
    """Derive character boxes from the attention maps of the last stage.

    A map is a narrow spot on its character: it shows where the character is, not how large. The
    word is therefore cut along the line halfway between the spots of neighbours (their medians),
    and a box is the space between two cuts, slightly reduced. Across the line, all boxes cover the
    middle three quarters of the image. The line runs along x, or along y if the spots are
    further apart in that direction. Boxes are axis-aligned, and rough on slanted, strongly curved,
    or loosely cropped words.

    Args:
        attn_maps: Attention maps of shape (S, T, h, w), of which the last stage's are used, or
            (T, h, w). Map k + 1 belongs to character k.
        num_chars: Number n of characters that were read.
        image_size: Height and width of the original image, in pixels.

    Returns:
        Boxes of the characters in reading order, float32 array (n, 4) of x1, y1, x2, y2 in pixels
        of the original image, and inside it.

    Raises:
        ValueError: If the maps have another shape or are too few for the characters.
    """
    maps = np.asarray(attn_maps, np.float32)
    if maps.ndim not in (3, 4):
        raise ValueError(f"attn_maps must be (S, T, h, w) or (T, h, w), got {maps.shape}")
    maps = maps[-1] if maps.ndim == 4 else maps
    if not 0 <= num_chars < len(maps):
        raise ValueError(
            f"num_chars must be from 0 to {len(maps) - 1}, as map 0 belongs to no character; got "
            f"{num_chars}"
        )
    size = np.array(image_size[::-1], np.float32)
    if num_chars == 0:
        return np.zeros((0, 4), np.float32)
    maps = maps[1 : num_chars + 1]
    spots = np.stack([_medians(maps.sum(1)), _medians(maps.sum(2))], axis=1)
    along = int(np.argmax(np.ptp(spots, axis=0) * size))
    boxes = np.empty((num_chars, 2, 2), np.float32)  # near and far corner, x and y
    boxes[:, :, 1 - along] = ACROSS
    boxes[:, :, along] = _cells(spots[:, along], least=0.5 / maps.shape[2 - along])
    return (boxes * size).reshape(num_chars, 4)


def _medians(mass: np.ndarray) -> np.ndarray:
    """Return the medians of the attention.

    Args:
        mass: Attention of shape (n, cells) along one side of the image.

    Returns:
        Positions (n,), from 0 to 1.
    """
    edges = np.linspace(0, 1, mass.shape[1] + 1)
    summed = np.concatenate([np.zeros((len(mass), 1)), np.cumsum(mass, axis=1)], axis=1)
    return np.array([np.interp(total[-1] / 2, total, edges) for total in summed])


def _cells(places: np.ndarray, least: float) -> np.ndarray:
    """Return the extent of each character along the line.

    Args:
        places: Positions of the characters, (n,), from 0 to 1, in any order.
        least: Minimum length of a cell.

    Returns:
        Start and end of each cell, (n, 2), from 0 to 1.
    """
    if len(places) == 1:
        return np.array([ALONE])
    order = np.argsort(places, kind="stable")
    line = places[order]
    step = np.median(np.diff(line))
    cuts = np.concatenate(
        [
            [max(line[0] - REACH * step, min(EDGE, line[0] - step / 2))],
            (line[1:] + line[:-1]) / 2,
            [min(line[-1] + REACH * step, max(1 - EDGE, line[-1] + step / 2))],
        ]
    )
    middle, length = (cuts[1:] + cuts[:-1]) / 2, np.diff(cuts)
    half = np.maximum(length * FILLED, least) / 2
    cells = np.empty((len(places), 2))
    cells[order] = np.stack([middle - half, middle + half], axis=1)
    return np.clip(cells, 0, 1)
