"""Font files without the glyphs that English words never need."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

from fontTools.subset import Options, Subsetter, load_font, save_font

LATIN = (*range(0x20, 0x7F), *range(0xA0, 0x100))
"""ASCII and Latin-1 without control characters, as code points."""

# They choose among glyphs by rules, or serve editors of fonts; some are damaged in old fonts.
_TABLES_TO_DROP = ("GSUB", "DSIG", "FFTM", "PfEd", "TeX ", "BDF ", "Silf", "Sill", "Glat", "Gloc")


def write_latin_subset(source: Path, target: Path) -> bool:
    """Copy a font, of which only the glyphs of :data:`LATIN` and their kerning are kept.

    Hints for the grid of pixels go, too. Collections of fonts, and files that fontTools cannot
    read, are copied whole.

    Args:
        source: Font file.
        target: Where to write.

    Returns:
        Whether it could be made smaller.

    Raises:
        OSError: If the file cannot be copied.
    """
    if source.suffix.lower() in (".ttf", ".otf"):
        options = Options(
            hinting=False, layout_features=["kern"], name_IDs=["*"], notdef_outline=True
        )
        options.drop_tables += _TABLES_TO_DROP
        logger = logging.getLogger("fontTools")
        level = logger.level
        logger.setLevel(logging.CRITICAL)  # it warns of every second font
        try:
            font = load_font(str(source), options)
            subsetter = Subsetter(options)
            subsetter.populate(unicodes=LATIN)
            subsetter.subset(font)
            save_font(font, str(target), options)
            return True
        except Exception:  # old fonts are damaged in every way there is
            target.unlink(missing_ok=True)
        finally:
            logger.setLevel(level)
    shutil.copyfile(source, target)
    return False
