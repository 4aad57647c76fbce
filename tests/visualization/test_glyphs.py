from __future__ import annotations

from lpv_mmocr.visualization import glyphs
from lpv_mmocr.visualization.glyphs import (
    Piece,
    draw_pieces,
    draw_text,
    font_of,
    text_width,
    visible,
)

import numpy as np
import pytest
from PIL import Image, ImageDraw


@pytest.fixture
def canvas():
    return Image.new("RGB", (300, 40), "white")


def ink_columns(canvas: Image.Image) -> tuple[int, int]:
    columns = np.nonzero((np.asarray(canvas) < 128).any((0, 2)))[0]
    return int(columns[0]), int(columns[-1])


@pytest.fixture
def no_system_fonts(monkeypatch):
    monkeypatch.setattr(glyphs, "_system_fonts", tuple)
    font_of.cache_clear()
    yield
    font_of.cache_clear()


def test_visible_replaces_undrawable_characters(no_system_fonts):
    assert visible("a") == "a"
    assert visible(" ") == "␣"
    assert visible("\u4e2d") == "U+4E2D"
    assert visible("\U0001f9ff") == "U+1F9FF"
    assert visible("\n") == "U+000A"
    assert visible("\u0301") == "\u25cc\u0301"


def test_system_font_is_used_for_missing_letters(no_system_fonts, monkeypatch):
    """STIX has a letter that DejaVu lacks, as a Chinese system font would."""
    stix = str(glyphs.matplotlib_font_folder() / "STIXGeneral.ttf")
    letter = "\u20f0"
    assert font_of(letter) is None
    font_of.cache_clear()
    broken = str(glyphs.__file__)  # not a font file
    monkeypatch.setattr(glyphs, "_system_fonts", lambda: (broken, stix))
    assert font_of(letter) == stix
    assert visible("\u4e2d") == "U+4E2D"


def test_font_without_readable_coverage_is_skipped(no_system_fonts, monkeypatch):
    def fail(*args):
        raise KeyError("cmap")

    stix = str(glyphs.matplotlib_font_folder() / "STIXGeneral.ttf")
    monkeypatch.setattr(glyphs, "_system_fonts", lambda: (stix,))
    monkeypatch.setattr(glyphs, "glyph_coverage", fail)
    assert font_of("\u20f0") is None


def test_text_is_shrunk_to_its_width(canvas):
    pen = ImageDraw.Draw(canvas)
    assert text_width("wide text", 30) > 60
    assert draw_text(pen, (10, 30), "wide text", 30, "black", width=60) <= 60
    left, right = ink_columns(canvas)
    assert left >= 9
    assert right <= 71


@pytest.mark.parametrize(("anchor", "side"), [("l", 1), ("m", 0), ("r", -1)])
def test_anchor_positions_the_text(canvas, anchor, side):
    pen = ImageDraw.Draw(canvas)
    half = text_width("HH", 24) / 2
    draw_text(pen, (150, 30), "HH", 24, "black", anchor=anchor)
    left, right = ink_columns(canvas)
    assert (left + right) / 2 == pytest.approx(150 + side * half, abs=2)


def test_pieces_are_centred_and_fit(canvas):
    pen = ImageDraw.Draw(canvas)
    draw_pieces(pen, [Piece("HHHH", 24, "black"), Piece("HHHH", 12, "#400000")], (150, 30), 80)
    left, right = ink_columns(canvas)
    assert right - left <= 80
    assert (left + right) / 2 == pytest.approx(150, abs=3)
