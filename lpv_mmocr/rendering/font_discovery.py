"""Font discovery: given folders, system fonts, and matplotlib's own, which are always there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

FONT_SUFFIXES = (".ttf", ".otf", ".ttc", ".otc", ".woff")


def matplotlib_font_folder() -> Path:
    """Return the folder of the fonts bundled with matplotlib (DejaVu, STIX, Computer Modern)."""
    import matplotlib

    return Path(matplotlib.get_data_path()) / "fonts" / "ttf"


def find_font_files(folders: Sequence[str | Path] = (), *, system: bool = True) -> list[Path]:
    """List font files.

    Args:
        folders: Folders (searched recursively) or single font files.
        system: Whether to also list the system's fonts, found by matplotlib's font manager, and
            those bundled with matplotlib.

    Returns:
        Sorted absolute paths without duplicates.

    Raises:
        FileNotFoundError: If a folder does not exist.
        ValueError: If a given file is not a font file, or a given folder contains none.
    """
    found: set[Path] = set()
    for entry in map(Path, folders):
        if not entry.exists():
            raise FileNotFoundError(f"font file or folder {entry} does not exist")
        if entry.is_file():
            if entry.suffix.lower() not in FONT_SUFFIXES:
                raise ValueError(
                    f"{entry} is not a font file; expected one of {', '.join(FONT_SUFFIXES)}"
                )
            found.add(entry.resolve())
            continue
        inside = _font_files_in(entry)
        if not inside:
            raise ValueError(f"font folder {entry} holds no {'/'.join(FONT_SUFFIXES)} file")
        found |= inside
    if system:
        from matplotlib import font_manager

        found |= _font_files_in(matplotlib_font_folder())
        found |= {
            Path(name).resolve()
            for name in font_manager.findSystemFonts()
            if name.lower().endswith(FONT_SUFFIXES)
        }
    return sorted(found)


def _font_files_in(folder: Path) -> set[Path]:
    return {
        path.resolve()
        for path in folder.rglob("*")
        if path.suffix.lower() in FONT_SUFFIXES and path.is_file()  # no broken links
    }
