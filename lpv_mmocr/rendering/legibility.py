"""Glyph legibility: whether glyphs look like the characters that they stand for."""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .font_discovery import matplotlib_font_folder

PRINTABLE = string.printable[:94]
ALPHANUMERIC = string.digits + string.ascii_letters
GLYPH_SIZE = 40
SIDE, INNER = 20, 16
NEAREST = 3
REFERENCE_FONTS = (
    "DejaVuSans.ttf",
    "DejaVuSans-Bold.ttf",
    "DejaVuSans-Oblique.ttf",
    "DejaVuSansMono.ttf",
    "DejaVuSerif.ttf",
    "DejaVuSerif-Bold.ttf",
    "DejaVuSerif-Italic.ttf",
    "STIXGeneral.ttf",
    "STIXGeneralItalic.ttf",
)
REFERENCE_FONTS_FOR_LETTERS = ("cmr10.ttf", "cmss10.ttf", "cmti10.ttf")
"""TeX's fonts, in which less-than is an inverted exclamation mark, and a brace is a dash."""
# Dilated copies stand in for the heavy and condensed faces that the references lack.
THICKENERS = (None, np.ones((3, 3), np.uint8), np.ones((3, 7), np.uint8))
LOOK_ALIKES = ("0o", "1il", "5s", "2z", "uv", "9g")
CASE_PAIRS_THAT_DIFFER = "abdeghnqrt"
SMALL_LETTER_FACES = 0.3
"""Maximum fraction of capitals in a face of small letters. Of 59 faces with one case (Debian),
three had at most 0.1; the next had 0.5: capitals with an occasional small a, e or n."""


def draw_glyph(font: ImageFont.FreeTypeFont, char: str) -> np.ndarray:
    """Draw one character.

    Args:
        font: Typeface at a pixel size.
        char: The character.

    Returns:
        uint8 (h, w), empty if the glyph has no extent.
    """
    left, top, right, bottom = font.getbbox(char)
    if right <= left or bottom <= top:
        return np.zeros((0, 0), np.uint8)
    canvas = Image.new("L", (int(right - left), int(bottom - top)))
    ImageDraw.Draw(canvas).text((-left, -top), char, font=font, fill=255)
    return np.asarray(canvas)


def template(glyph: np.ndarray) -> np.ndarray:
    """Normalise a glyph to a fixed size, zero mean and unit norm.

    The aspect ratio is discarded unless it is extreme, so that condensed and wide faces match
    while a dash stays a dash.

    Args:
        glyph: uint8 (h, w).

    Returns:
        float32 (SIDE * SIDE,); zeros for an empty glyph.
    """
    rows, cols = np.nonzero(glyph > 64)
    canvas = np.zeros((SIDE, SIDE), np.float32)
    if rows.size == 0:
        return canvas.ravel()
    glyph = glyph[rows.min() : rows.max() + 1, cols.min() : cols.max() + 1]
    height, width = glyph.shape
    aspect = width / height
    wide = INNER if aspect >= 0.35 else max(3, round(1.2 * INNER * aspect**0.5))
    tall = INNER if aspect <= 1 / 0.35 else max(3, round(1.2 * INNER * aspect**-0.5))
    top, left = (SIDE - tall) // 2, (SIDE - wide) // 2
    small = cv2.resize(glyph, (wide, tall), interpolation=cv2.INTER_AREA)
    canvas[top : top + tall, left : left + wide] = small
    canvas = cv2.GaussianBlur(canvas, (0, 0), 1.3)
    canvas -= canvas.mean()
    return (canvas / (np.linalg.norm(canvas) + 1e-6)).ravel()


def open_face(path: str, size: int, index: int = 0) -> ImageFont.FreeTypeFont:
    """Open a face at a pixel size.

    The basic layout needs no optional library, so images do not depend on installed ones.

    Args:
        path: Font file.
        size: Pixels per em.
        index: Index of the face in the file.

    Raises:
        OSError: If the file is not a font, or has no such face.
    """
    return ImageFont.truetype(path, size, index=index, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=1)
def _references() -> np.ndarray:
    """Return templates of known faces, float32 (94, faces * thickeners, SIDE²); zeros for none."""
    faces, of_letters = (
        [open_face(str(file), GLYPH_SIZE) for file in _files(names)]
        for names in (REFERENCE_FONTS, REFERENCE_FONTS_FOR_LETTERS)
    )

    def versions(char: str) -> Iterator[np.ndarray]:
        for face in (*faces, *of_letters):
            if face in of_letters and not char.isalnum():
                yield from [np.zeros(SIDE * SIDE, np.float32)] * len(THICKENERS)
                continue
            glyph = np.pad(draw_glyph(face, char), 6)
            for kernel in THICKENERS:
                yield template(glyph if kernel is None else cv2.dilate(glyph, kernel))

    return np.stack([np.stack(list(versions(char))) for char in PRINTABLE])


def _files(names: Sequence[str]) -> list[Path]:
    # Before 3.11, matplotlib does not include cmti10.ttf.
    return [file for name in names if (file := matplotlib_font_folder() / name).is_file()]


def likeness(templates: Sequence[np.ndarray]) -> np.ndarray:
    """Compare templates with all printable ASCII characters.

    Args:
        templates: Each float32 (SIDE * SIDE,).

    Returns:
        float32 (n, 94): correlation with the best-matching known face, per character in the
        order of ``string.printable``.
    """
    references = _references()
    scores = np.stack(templates) @ references.reshape(-1, SIDE * SIDE).T
    return scores.reshape(len(templates), *references.shape[:2]).max(axis=2)


def legibility(scores: Mapping[str, np.ndarray]) -> float:
    """Return the fraction of letters and digits that people would probably recognise.

    A glyph counts if its own character is among the three that it resembles most, ignoring case
    and the usual look-alikes.

    Args:
        scores: For each letter or digit, its row of :func:`likeness`.

    Returns:
        Fraction from 0 to 1.
    """
    correct = 0
    for char, row in scores.items():
        nearest = np.argsort(-row[: len(ALPHANUMERIC)])
        names = list(dict.fromkeys(PRINTABLE[index].lower() for index in nearest))[:NEAREST]
        own = {char.lower()}.union(*(group for group in LOOK_ALIKES if char.lower() in group))
        correct += not own.isdisjoint(names)
    return correct / len(scores)


def only_case(templates: Mapping[str, np.ndarray], scores: Mapping[str, np.ndarray]) -> str:
    """Return the case that a typeface with identical upper and lower case draws.

    Args:
        templates: Templates of the available letters.
        scores: Their rows of :func:`likeness`.

    Returns:
        Empty if the two cases differ, as they mostly do: of the letters whose cases usually differ,
        the median correlation of both cases is at most 0.9. Otherwise "upper" if more than
        ``SMALL_LETTER_FACES`` of the small ones resemble capitals more, else "lower".
    """
    pairs = [low for low in CASE_PAIRS_THAT_DIFFER if low in templates and low.upper() in templates]
    alike = [float(templates[low] @ templates[low.upper()]) for low in pairs]
    if not alike or float(np.median(alike)) <= 0.9:
        return ""
    capitals = [
        scores[low][PRINTABLE.index(low.upper())] > scores[low][PRINTABLE.index(low)]
        for low in pairs
    ]
    return "upper" if float(np.mean(capitals)) > SMALL_LETTER_FACES else "lower"
