"""Where the characters of a word are, by the attention maps."""

from __future__ import annotations

import numpy as np


def character_boxes(
    attn_maps: np.ndarray, num_chars: int, image_size: tuple[int, int]
) -> np.ndarray:
    """Read character boxes off the attention maps of the last stage.

    Args:
        attn_maps: Attention maps of shape (S, T, h, w), of which the last stage's are used, or
            (T, h, w). Map k + 1 belongs to character k.
        num_chars: Number n of characters that were read.
        image_size: Height and width of the original picture, in pixels.

    Returns:
        Boxes of the characters in reading order, float32 array (n, 4) of x1, y1, x2, y2 in pixels
        of the original picture, inside of it.

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
    return _spread_boxes(maps[1 : num_chars + 1], image_size)


def _spread_boxes(maps: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    height, width = image_size
    boxes = np.zeros((len(maps), 4), np.float32)
    for axis, length in ((2, width), (1, height)):
        mass = maps.sum(3 - axis)
        mass = mass / np.maximum(mass.sum(1, keepdims=True), 1e-12)
        cells = (np.arange(mass.shape[1]) + 0.5) / mass.shape[1]
        middle = mass @ cells
        spread = np.sqrt(np.maximum((mass * (cells - middle[:, None]) ** 2).sum(1), 1e-6))
        boxes[:, 2 - axis] = np.clip(middle - 1.8 * spread, 0, 1) * length
        boxes[:, 4 - axis] = np.clip(middle + 1.8 * spread, 0, 1) * length
    return boxes
