"""What all pictures have in common: colours, margins, the scale of colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw

from ..evaluation.alignment import CharacterMatch
from .glyphs import draw_text, visible
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


def with_padding(image: np.ndarray, valid_ratio: float) -> np.ndarray:
    """Add the black that a model was shown on the right of a picture, over which its maps reach.

    Args:
        image: The picture, (H, W, 3).
        valid_ratio: Part of the width that is not padding, as MMOCR's ``PadToWidth`` notes it.

    Returns:
        Shape (H, W / valid_ratio, 3); the picture itself where that is no wider.
    """
    missing = round(image.shape[1] / valid_ratio) - image.shape[1]
    return np.pad(image, ((0, 0), (0, missing), (0, 0))) if missing else image


def frame(
    pen: ImageDraw.ImageDraw, box: tuple[int, int, int, int], colour: str, thickness: int
) -> None:
    """Draw a frame along the inside of a box of left, top, width and height."""
    left, top, width, height = box
    pen.rectangle((left, top, left + width - 1, top + height - 1), outline=colour, width=thickness)


def draw_reading(
    pen: ImageDraw.ImageDraw,
    matches: Sequence[CharacterMatch],
    place: tuple[int, int],
    width: int,
) -> None:
    """Draw a reading, centred, and under what is wrong in it the truth.

    A character that was missed is a low line with the truth under it, one too many has a cross
    under it.

    Args:
        pen: What to draw with.
        matches: The reading beside the truth.
        place: Left and top, in pixels; the drawing is 40 high.
        width: Pixels that there are.
    """
    left, top = place
    if not matches:
        draw_text(pen, (left + width / 2, top + 18), "nothing read", 16, PALE, anchor="m")
        return
    column = min(24.0, width / len(matches))
    # All letters of one size, though the widest reach a little over their column.
    size, reach = max(9, min(18, int(column / 0.75))), 1.3 * column
    x = left + (width - column * len(matches)) / 2 + column / 2
    for match in matches:
        colour = WRONG if match.wrong else INK
        read = "_" if match.read is None else visible(match.read)
        draw_text(pen, (x, top + 18), read, size, colour, bold=True, anchor="m", width=reach)
        if match.wrong:
            # Of a label of hundreds of characters a column has less than a pixel.
            frame(pen, (int(x - column / 2), top, max(1, int(column)), 40), WRONG, 1)
        if match.wrong or match.read is None:
            truth = "✗" if match.truth is None else visible(match.truth)
            draw_text(pen, (x, top + 36), truth, 14, colour, anchor="m", width=column)
        x += column


def draw_scales(
    canvas: Image.Image,
    pen: ImageDraw.ImageDraw,
    place: tuple[int, int],
    scales: Mapping[str, HeatScale],
) -> None:
    """Draw the bar that says which colour is which attention weight.

    Args:
        canvas: Picture to draw on.
        pen: What to draw with.
        place: Left and top, in pixels; the bar with the notes beside it is 450 wide.
        scales: For what the scales are, and the scales; each has a line of 15 pixels below the bar.
    """
    x, y = place
    width, height = 220, 12
    shares = np.linspace(0, 1, width) ** 2  # even in colour
    bar = np.broadcast_to(HeatScale(1.0).colour(shares)[0].astype(np.uint8), (height, width, 3))
    canvas.paste(Image.fromarray(np.ascontiguousarray(bar)), (x, y))
    draw_text(pen, (x + width + 34, y + 11), "attention weight of a grid cell", 12, PALE)
    for line, (name, scale) in enumerate(scales.items(), start=1):
        base = y + height + 15 * line
        for share in (0.0, 0.25, 1.0):
            at = x + share**0.5 * (width - 1)
            weight = f"{'≥ ' if share == 1 else ''}{share * scale.top:.2f}"
            draw_text(pen, (at, base), weight, 11, PALE, anchor="m")
        draw_text(pen, (x + width + 34, base), name, 12, PALE)
