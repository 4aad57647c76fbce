"""Text layout: a mask of a word set in a typeface, and one of the text around it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .config import RenderConfig

FONT_SIZES = (36, 50)
"""Pixels per em at which faces are opened; every text size is scaled from one of them."""

# Room around the pen for swashes, in em: left and right, above the baseline, below it.
ROOM = (0.7, 1.6, 0.9)
NEIGHBOUR_LETTERS = 4


@dataclass
class TextLayer:
    """Word before perspective and colour.

    Attributes:
        mask: The word's ink, uint8 (h, w).
        around: Ink of neighbouring text on the same canvas, uint8 (h, w), or None.
        box: Left, top, right, bottom of the word's ink on the canvas, in pixels.
        spacing: Extra pixels between letters.
        lifts: Pixels by which each letter is off the baseline, or None.
    """

    mask: np.ndarray
    around: np.ndarray | None
    box: tuple[int, int, int, int]
    spacing: float = 0.0
    lifts: np.ndarray | None = None

    @property
    def height(self) -> int:
        """Height of the word's ink in pixels."""
        return self.box[3] - self.box[1]


def set_text(
    font: ImageFont.FreeTypeFont,
    text: str,
    *,
    spacing: float = 0.0,
    lifts: np.ndarray | None = None,
) -> tuple[np.ndarray, int]:
    """Set a line of text.

    Args:
        font: Typeface at a pixel size.
        text: Text to set.
        spacing: Extra pixels between letters.
        lifts: Pixels by which each letter is off the baseline, or None.

    Returns:
        The tight ink mask, uint8 (h, w), and the row of the baseline in it (which may be
        outside). The mask is empty, (0, 0), if nothing was drawn.
    """
    if spacing == 0 and lifts is None:
        placed = [(0.0, 0, text)]
    else:
        starts = _spaced_starts(font, text, spacing, lifts)
        placed = [(x, y, char) for (x, y), char in zip(starts, text, strict=True)]
    last, _, piece = placed[-1]
    # A canvas with room to spare is cheaper than computing the exact extent first.
    side, above, below = (int(room * font.size) for room in ROOM)
    slack = int(np.abs(lifts).max()) if lifts is not None else 0
    width = int(last + font.getlength(piece)) + 2 * side
    base = above + slack
    canvas = Image.new("L", (width, base + below + slack))
    pen = ImageDraw.Draw(canvas)
    for x, y, piece in placed:
        pen.text((side + x, base + y), piece, font=font, fill=255, anchor="ls")
    ink = canvas.getbbox()
    if ink is None:
        return np.zeros((0, 0), np.uint8), 0
    return np.asarray(canvas.crop(ink)), base - ink[1]


def letter_starts(
    font: ImageFont.FreeTypeFont, text: str, spacing: float, lifts: np.ndarray | None
) -> list[tuple[float, int]]:
    """Return where :func:`set_text` starts each letter.

    Args:
        font: Typeface at a pixel size.
        text: Text to set.
        spacing: Extra pixels between letters.
        lifts: Pixels by which each letter is off the baseline, or None.

    Returns:
        For each letter, pixels to the right of the first letter's start and below the baseline.
    """
    if spacing == 0 and lifts is None:  # set in one piece, with kerning
        ends = (font.getlength(text[: index + 1]) for index in range(len(text)))
        return [(end - font.getlength(char), 0) for end, char in zip(ends, text, strict=True)]
    return _spaced_starts(font, text, spacing, lifts)


def _spaced_starts(
    font: ImageFont.FreeTypeFont, text: str, spacing: float, lifts: np.ndarray | None
) -> list[tuple[float, int]]:
    starts, advanced = [], 0.0
    for index, char in enumerate(text):
        starts.append((advanced, int(lifts[index]) if lifts is not None else 0))
        # No kerning here: it is negligible next to unusual spacing.
        advanced += font.getlength(char) + spacing
    return starts


def lay_out(
    rng: np.random.Generator,
    font: ImageFont.FreeTypeFont,
    text: str,
    config: RenderConfig,
    neighbours: list[str | None],
) -> TextLayer | None:
    """Set a word with random letter spacing, and other text around it.

    Args:
        rng: Source of randomness.
        font: Typeface at a pixel size.
        text: The word.
        config: Ranges of spacing and jitter.
        neighbours: Text to the left, right, above and below; None for no text.

    Returns:
        The layer, or None if the face leaves no ink.
    """
    size = font.size
    spacing = 0.0
    lifts = None
    if len(text) > 1:
        if rng.random() < config.spacing_prob:
            spacing = rng.uniform(*config.spacing) * 0.75 * size
        if rng.random() < config.jitter_prob:
            lifts = rng.normal(0, 0.06 * size, len(text)).round().astype(int)
    word, base = set_text(font, text, spacing=spacing, lifts=lifts)
    if not word.size:
        return None
    height, width = word.shape
    pad = int(0.6 * size)
    canvas = np.zeros((height + 2 * pad, width + 2 * pad), np.uint8)
    canvas[pad : pad + height, pad : pad + width] = word
    around = None
    if any(neighbours):
        around = np.zeros_like(canvas)
        gap = rng.uniform(0.24, 0.4) * size + max(spacing, 0)
        leading = rng.uniform(0.1, 0.3) * size
        for side, other in enumerate(neighbours):
            if not other:
                continue
            if side < 2:  # Only the end that faces the word can be seen.
                other = other[-NEIGHBOUR_LETTERS:] if side == 0 else other[:NEIGHBOUR_LETTERS]
            piece, piece_base = set_text(font, other, spacing=max(spacing, 0.0))
            if not piece.size:
                continue
            if side == 0:
                place = pad - gap - piece.shape[1], pad + base - piece_base
            elif side == 1:
                place = pad + width + gap, pad + base - piece_base
            else:
                x = pad + rng.uniform(-0.5, 0.5) * width - (piece.shape[1] - width) / 2
                y = pad - leading - piece.shape[0] if side == 2 else pad + height + leading
                place = x, y
            _paste(around, piece, int(place[0]), int(place[1]))
    return TextLayer(canvas, around, (pad, pad, pad + width, pad + height), spacing, lifts)


def _paste(canvas: np.ndarray, piece: np.ndarray, left: int, top: int) -> None:
    """Add a piece to a canvas where the two overlap."""
    rows = slice(max(top, 0), max(min(top + piece.shape[0], canvas.shape[0]), 0))
    cols = slice(max(left, 0), max(min(left + piece.shape[1], canvas.shape[1]), 0))
    if rows.start >= rows.stop or cols.start >= cols.stop:
        return
    part = piece[rows.start - top : rows.stop - top, cols.start - left : cols.stop - left]
    canvas[rows, cols] = cv2.max(canvas[rows, cols], np.ascontiguousarray(part))
