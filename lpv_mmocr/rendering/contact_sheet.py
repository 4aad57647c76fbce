"""Contact sheets of rendered words."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..atomic_files import write_image
from .font_discovery import matplotlib_font_folder
from .renderer import WordRenderer

CELL = (152, 62)
IMAGE_BOX = (148, 46)
COLUMNS = 10


def write_contact_sheet(
    renderer: WordRenderer, path: str | Path, *, count: int = 200, seed: int = 0
) -> None:
    """Write a contact sheet of rendered words with their labels.

    Args:
        renderer: Renderer of the words.
        path: PNG file to write.
        count: Number of words.
        seed: Seed of the set.

    Raises:
        ValueError: If ``count`` is not positive.
    """
    if count < 1:
        raise ValueError(f"a contact sheet needs at least one image, got {count}")
    words = (renderer(seed, number) for number in range(count))
    entries = (
        (word.image, f"{number}: {word.label}", None if word.label.isascii() else word.font)
        for number, word in enumerate(words)
    )
    save_sheet(entries, count, path)


def save_sheet(
    entries: Iterable[tuple[np.ndarray, str, str | None]], count: int, path: str | Path
) -> None:
    """Write images with captions to one contact sheet.

    Args:
        entries: Tuples of an image, RGB uint8 of shape (H, W, 3), its caption, and a font file
            that has the caption's characters (None for Latin captions).
        count: Number of entries; the sheet is narrower if they do not fill one row.
        path: PNG file to write; parent folders are created as needed.
    """
    rows, columns = -(-count // COLUMNS), min(count, COLUMNS)
    sheet = Image.new("RGB", (columns * CELL[0], rows * CELL[1]), "white")
    pen = ImageDraw.Draw(sheet)
    latin = ImageFont.truetype(str(matplotlib_font_folder() / "DejaVuSans.ttf"), 11)
    for place, (image, caption, font) in enumerate(entries):
        x, y = place % COLUMNS * CELL[0], place // COLUMNS * CELL[1]
        sheet.paste(Image.fromarray(_fitted(image)), (x, y))
        letters = latin if font is None else ImageFont.truetype(font, 11)
        caption = _shortened(caption, letters)
        pen.text((x, y + IMAGE_BOX[1]), caption, font=letters, fill="black")
    write_image(path, sheet)


def _shortened(caption: str, letters: ImageFont.FreeTypeFont) -> str:
    """Return a caption on one line, cut to the width of its cell with an ellipsis if needed."""
    caption = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in caption)
    if letters.getlength(caption) <= IMAGE_BOX[0]:
        return caption
    while letters.getlength(caption + "…") > IMAGE_BOX[0]:
        caption = caption[:-1]
    return caption + "…"


def _fitted(image: np.ndarray) -> np.ndarray:
    """Scale an image to its cell, keeping the aspect ratio."""
    height, width = image.shape[:2]
    scale = min(IMAGE_BOX[0] / width, IMAGE_BOX[1] / height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(image, size, interpolation=method)
