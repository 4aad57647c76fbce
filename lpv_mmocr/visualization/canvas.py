"""Shared parts of all figures: colours, margins, the colour scale."""

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
    """Check that an image is RGB uint8.

    Args:
        image: The image.

    Returns:
        The image as a contiguous array.

    Raises:
        ValueError: If it is not of shape (H, W, 3), is empty, or is not uint8.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise ValueError(
            f"image must be RGB uint8 of shape (H, W, 3), got {image.dtype} {image.shape}"
        )
    return np.ascontiguousarray(image)


def with_padding(image: np.ndarray, valid_ratio: float) -> np.ndarray:
    """Add the black padding on the right that a model saw and that its maps cover.

    Args:
        image: The image, (H, W, 3).
        valid_ratio: Fraction of the width that is not padding, as MMOCR's ``PadToWidth`` records
            it.

    Returns:
        Image of shape (H, W / valid_ratio, 3); the given one if that is no wider.
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
    """Draw a reading, centred, with the truth below wrong characters.

    A missed character is an underscore with the truth below it; an extra one has a cross below it.

    Args:
        pen: Drawing context.
        matches: The reading aligned with the truth.
        place: Left and top, in pixels; the drawing is 40 pixels high.
        width: Available width in pixels.
    """
    left, top = place
    if not matches:
        draw_text(pen, (left + width / 2, top + 18), "nothing read", 16, PALE, anchor="m")
        return
    column = min(24.0, width / len(matches))
    # All letters have one size, though the widest exceed their column a little.
    size, reach = max(9, min(18, int(column / 0.75))), 1.3 * column
    x = left + (width - column * len(matches)) / 2 + column / 2
    for match in matches:
        colour = WRONG if match.wrong else INK
        read = "_" if match.read is None else visible(match.read)
        draw_text(pen, (x, top + 18), read, size, colour, bold=True, anchor="m", width=reach)
        if match.wrong:
            # With a label of hundreds of characters, a column is narrower than a pixel.
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
    """Draw the colour bar of attention weights.

    Args:
        canvas: Image to draw on.
        pen: Drawing context.
        place: Left and top, in pixels; the bar with the notes next to it is 450 pixels wide.
        scales: Scales by title; each has a line of 15 pixels below the bar.
    """
    x, y = place
    width, height = 220, 12
    shares = np.linspace(0, 1, width) ** 2  # evenly spaced colours
    bar = np.broadcast_to(HeatScale(1.0).colour(shares)[0].astype(np.uint8), (height, width, 3))
    canvas.paste(Image.fromarray(np.ascontiguousarray(bar)), (x, y))
    draw_text(pen, (x + width + 34, y + 11), "attention weight of a grid cell", 12, PALE)
    for line, (name, scale) in enumerate(scales.items(), start=1):
        base = y + height + 15 * line
        for share in (0.0, 0.25, 1.0):
            at = x + share**0.5 * (width - 1)
            weight = f"{share * scale.top:{'.2f' if scale.top >= 0.1 else '.2g'}}"
            shown = f"≥ {weight}" if share == 1 else weight
            draw_text(pen, (at, base), shown, 11, PALE, anchor="m")
        draw_text(pen, (x + width + 34, base), name, 12, PALE)
