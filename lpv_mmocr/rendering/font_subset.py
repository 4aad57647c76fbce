"""Font files without the glyphs that English words never need."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fontTools.subset import Options, Subsetter, load_font, save_font

from .font_screening import glyph_coverage

LATIN = (*range(0x20, 0x7F), *range(0xA0, 0x100))
"""ASCII and Latin-1 without control characters, as code points."""

# They choose among glyphs by rules, or serve editors of fonts; some are damaged in old fonts.
_TABLES_TO_DROP = ("GSUB", "DSIG", "FFTM", "PfEd", "TeX ", "BDF ", "Silf", "Sill", "Glat", "Gloc")


def write_latin_subset(source: Path, target: Path, characters: str) -> bool:
    """Copy a font, of which only the glyphs of :data:`LATIN` and their kerning are kept.

    Hints for the grid of pixels go, too. Collections of fonts are copied whole, and so are files
    that fontTools cannot read, or that would show other characters afterwards.

    Args:
        source: Font file.
        target: Where to write.
        characters: Characters that the font shows (:class:`FontVerdict`).

    Returns:
        Whether it was made smaller.

    Raises:
        OSError: If the file cannot be copied.
    """
    if source.suffix.lower() in (".ttf", ".otf"):
        try:
            _write(source, target)
            if glyph_coverage(str(target), 0, characters) == set(characters):
                return True
        except Exception:  # old fonts are damaged in every way there is
            target.unlink(missing_ok=True)
    shutil.copyfile(source, target)
    return False


def _write(source: Path, target: Path) -> None:
    options = Options(
        hinting=False,
        layout_features=["kern"],
        legacy_kern=True,  # words are drawn without OpenType's layout
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
    """Silence fontTools, which warns of every second font."""
    logger = logging.getLogger("fontTools")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
