"""Tests of comparing glyphs with those of the reference fonts."""

from __future__ import annotations

import shutil

from lpv_mmocr.rendering import legibility
from lpv_mmocr.rendering.font_discovery import matplotlib_font_folder

import numpy as np
import pytest
from PIL import ImageFont


@pytest.fixture
def references():
    """Return the builder of reference templates, its cache cleared before and after."""
    legibility._references.cache_clear()
    yield legibility._references
    legibility._references.cache_clear()


def of(char: str, name: str) -> np.ndarray:
    face = ImageFont.truetype(str(matplotlib_font_folder() / name), legibility.GLYPH_SIZE)
    return legibility.template(legibility.draw_glyph(face, char))


@pytest.mark.parametrize("char", ["a", "G", "7", "%"])
def test_glyph_is_most_like_its_own_character(references, char):
    scores = legibility.likeness([of(char, "DejaVuSans-BoldOblique.ttf")])
    assert legibility.PRINTABLE[int(scores[0].argmax())] == char


def test_matplotlib_without_cmti10_is_supported(references, tmp_path, monkeypatch):
    """Releases before 3.11 have no cmti10.ttf."""
    for name in (*legibility.REFERENCE_FONTS, *legibility.REFERENCE_FONTS_FOR_LETTERS):
        if name != "cmti10.ttf":
            shutil.copy(matplotlib_font_folder() / name, tmp_path)
    glyph = of("R", "DejaVuSans-BoldOblique.ttf")
    monkeypatch.setattr(legibility, "matplotlib_font_folder", lambda: tmp_path)
    assert references().shape[1] == 11 * len(legibility.THICKENERS)
    scores = legibility.likeness([glyph])
    assert legibility.PRINTABLE[int(scores[0].argmax())] == "R"
