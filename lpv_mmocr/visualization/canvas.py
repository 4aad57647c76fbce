"""What all pictures have in common: colours, margins, the scale of colours."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from .glyphs import draw_text
from .heat_maps import HeatScale

PAPER, INK, PALE, WRONG = "#ffffff", "#111111", "#666666", "#c1121f"
MARGIN = 16


def checked_image(image: np.ndarray) -> np.ndarray:
    """Check that a picture is RGB uint8.

    Args:
        image: The picture.

    Returns:
        It, in one piece of memory.

    Raises:
        ValueError: If it is not of shape (H, W, 3), empty, or not of bytes.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise ValueError(
            f"image must be RGB uint8 of shape (H, W, 3), got {image.dtype} {image.shape}"
        )
    return np.ascontiguousarray(image)


def frame(
    pen: ImageDraw.ImageDraw, box: tuple[int, int, int, int], colour: str, thickness: int
) -> None:
    """Draw a frame along the inside of a box of left, top, width and height."""
    left, top, width, height = box
    pen.rectangle((left, top, left + width - 1, top + height - 1), outline=colour, width=thickness)


def draw_scale(
    canvas: Image.Image, pen: ImageDraw.ImageDraw, place: tuple[int, int], scale: HeatScale
) -> None:
    """Draw the bar that says which colour is which attention weight.

    Args:
        canvas: Picture to draw on.
        pen: What to draw with.
        place: Left and top, in pixels; the bar with its captions is 400 wide and 42 high.
        scale: The scale.
    """
    x, y = place
    width, height = 220, 14
    weights = np.linspace(0, 1, width) ** 2 * scale.top
    bar = np.broadcast_to(scale.colour(weights)[0].astype(np.uint8), (height, width, 3))
    canvas.paste(Image.fromarray(np.ascontiguousarray(bar)), (x, y))
    for share in (0.0, 0.25, 1.0):
        at = x + share**0.5 * (width - 1)
        pen.line((at, y + height, at, y + height + 3), fill=PALE)
        draw_text(pen, (at, y + height + 15), f"{share * scale.top:.2f}", 11, PALE, anchor="m")
    draw_text(pen, (x + width + 20, y + 12), "attention weight of a grid cell,", 12, PALE)
    draw_text(pen, (x + width + 20, y + 28), "the same scale in all maps", 12, PALE)
