"""Text in any script on images, with the fonts of the machine."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from matplotlib.ft2font import FT2Font
from PIL import ImageDraw

from ..rendering.font_discovery import find_font_files, matplotlib_font_folder
from ..rendering.font_screening import glyph_coverage
from ..rendering.fonts import load_face
from ..visible_text import code_point, single

MIN_SIZE = 7
"""Minimum pixels per em to which text is shrunk."""

SOUND_ALIKE = "改開個"
"""Ideographs with the same Korean reading: some fonts draw all of them as that one syllable."""


def visible(character: str) -> str:
    """Return the text to draw for a character.

    Args:
        character: One character.

    Returns:
        The character; ``␣`` for a space, a dotted circle under a combining mark, and the code
        point, such as ``U+4E2D``, for a character that is not printable or that no font on this
        machine has.
    """
    if character != " " and font_of(character) is None:
        return code_point(character)
    return single(character)


@lru_cache(maxsize=4096)
def font_of(character: str, bold: bool = False) -> str | None:
    """Find a font that has a character.

    Args:
        character: One character.
        bold: Whether to prefer a bold face.

    Returns:
        Path of the font file: matplotlib's DejaVu Sans if it has the character, otherwise the
        first system font that does, regular faces first; None if there is none.
    """
    own = str(matplotlib_font_folder() / f"DejaVuSans{'-Bold' if bold else ''}.ttf")
    if FT2Font(own).get_char_index(ord(character)):
        return own
    return next((path for path in _system_fonts() if _shows(path, character)), None)


def _shows(path: str, character: str) -> bool:
    """Return whether a system font draws the character itself, not a glyph shared by many."""
    alike = SOUND_ALIKE if unicodedata.name(character, "").startswith("CJK") else ""
    try:
        font = FT2Font(path)
        if not font.get_char_index(ord(character)):
            return False
        mapped = {other for other in alike if font.get_char_index(ord(other))}
        distinct = glyph_coverage(path, 0, [character, *mapped])
    except Exception:  # fontTools raises errors of many kinds
        # Skip a damaged font, and one without a free code point to show its missing-glyph box.
        return False
    return character in distinct and (len(mapped) < len(SOUND_ALIKE) or bool(mapped & distinct))


@lru_cache(maxsize=1)
def _system_fonts() -> tuple[str, ...]:
    unusual = ("bold", "italic", "oblique", "black", "light", "thin", "mono")
    paths = [str(path) for path in find_font_files()]
    return tuple(
        sorted(paths, key=lambda path: sum(word in Path(path).stem.lower() for word in unusual))
    )


def text_width(text: str, size: int, *, bold: bool = False) -> float:
    """Return the width of a line of text in pixels.

    Args:
        text: Text whose characters are results of :func:`visible`, or plain English.
        size: Pixels per em.
        bold: Whether it is drawn bold.
    """
    return sum(load_face(font, 0, size).getlength(run) for font, run in _runs(text, bold))


def draw_text(
    pen: ImageDraw.ImageDraw,
    place: tuple[float, float],
    text: str,
    size: int,
    fill: str,
    *,
    bold: bool = False,
    anchor: str = "l",
    width: float | None = None,
) -> float:
    """Draw a line of text, shrunk if it would be too wide.

    Args:
        pen: Drawing context.
        place: Point on the baseline, in pixels.
        text: Text whose characters are results of :func:`visible`, or plain English.
        size: Pixels per em.
        fill: Colour.
        bold: Whether to draw bold text.
        anchor: Whether the place is the left end (``l``), the middle (``m``) or the right end
            (``r``).
        width: Available width in pixels; the text is shrunk to it.

    Returns:
        Width of the text in pixels.
    """
    taken = text_width(text, size, bold=bold)
    if width is not None and taken > width:
        size = max(MIN_SIZE, int(size * width / taken))
        taken = text_width(text, size, bold=bold)
    x, y = place
    x -= {"l": 0.0, "m": taken / 2, "r": taken}[anchor]
    for font, run in _runs(text, bold):
        face = load_face(font, 0, size)
        pen.text((x, y), run, font=face, fill=fill, anchor="ls")
        x += face.getlength(run)
    return taken


class Piece(NamedTuple):
    """Text in one style on a line.

    Attributes:
        text: Text whose characters are results of :func:`visible`, or plain English.
        size: Pixels per em.
        fill: Colour.
        bold: Whether it is bold.
    """

    text: str
    size: int
    fill: str
    bold: bool = False


def draw_pieces(
    pen: ImageDraw.ImageDraw, pieces: Sequence[Piece], middle: tuple[float, float], width: float
) -> None:
    """Draw pieces one after another on a centred line, all shrunk if they are too wide.

    Args:
        pen: Drawing context.
        pieces: The pieces.
        middle: Middle of the line, on the baseline, in pixels.
        width: Available width in pixels.
    """
    taken = sum(text_width(piece.text, piece.size, bold=piece.bold) for piece in pieces)
    if taken > width:
        pieces = [
            piece._replace(size=max(MIN_SIZE, int(piece.size * width / taken))) for piece in pieces
        ]
        taken = sum(text_width(piece.text, piece.size, bold=piece.bold) for piece in pieces)
    x = middle[0] - taken / 2
    for text, size, fill, bold in pieces:
        x += draw_text(pen, (x, middle[1]), text, size, fill, bold=bold)


def _runs(text: str, bold: bool) -> list[tuple[str, str]]:
    """Split a text into runs, each with its font."""
    fallback = font_of("?", bold)
    return [
        (font, "".join(run))
        for font, run in groupby(text, lambda character: font_of(character, bold) or fallback)
    ]
