"""Font subsets with only the glyphs that English words need."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fontTools.subset import Options, Subsetter, load_font, save_font

from .font_screening import glyph_coverage

LATIN = (*range(0x20, 0x7F), *range(0xA0, 0x100))
"""Code points of ASCII and Latin-1 without control characters."""

# Glyph selection rules, signatures and data of font tools; some are damaged in old fonts.
_TABLES_TO_DROP = ("GSUB", "DSIG", "FFTM", "PfEd", "TeX ", "BDF ", "Silf", "Sill", "Glat", "Gloc")


def write_latin_subset(source: Path, target: Path, characters: str) -> bool:
    """Copy a font, keeping only the glyphs of :data:`LATIN` and their kerning.

    Hinting is dropped, too. Files other than ``.ttf`` and ``.otf``, such as font collections, are
    copied unchanged, as are files that fontTools cannot read or that would show other characters as
    a subset.

    Args:
        source: Font file.
        target: File to write.
        characters: Characters that the font shows (:class:`FontVerdict`).

    Returns:
        Whether a subset was written; False if the file was copied unchanged.

    Raises:
        OSError: If the file cannot be copied.
    """
    if source.suffix.lower() in (".ttf", ".otf"):
        try:
            _write(source, target)
            if glyph_coverage(str(target), 0, characters) == set(characters):
                return True
        except Exception:  # old fonts are damaged in every possible way
            target.unlink(missing_ok=True)
    shutil.copyfile(source, target)
    return False


def _write(source: Path, target: Path) -> None:
    options = Options(
        hinting=False,
        layout_features=["kern"],
        legacy_kern=True,  # words are drawn without OpenType layout
        name_IDs=["*"],
        notdef_outline=True,
    )
    options.drop_tables += _TABLES_TO_DROP
    subsetter = Subsetter(options)
    subsetter.populate(unicodes=LATIN)
    with _no_warnings(), load_font(str(source), options) as font:
        subsetter.subset(font)
        save_font(font, str(target), options)


@contextmanager
def _no_warnings() -> Iterator[None]:
    """Silence fontTools, which warns about every second font."""
    logger = logging.getLogger("fontTools")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
