"""Font packs: screened fonts for use on another machine."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

from ..datasets.atomic_folder import atomic_folder
from .font_screening import PACK_FILE, SCREENING_VERSION
from .font_subset import write_latin_subset
from .fonts import Face, FontLibrary


def write_font_pack(
    library: FontLibrary,
    folder: str | Path,
    *,
    max_megabytes: float = 40.0,
    latin_only: bool = False,
) -> list[Path]:
    """Copy screened fonts, with their verdicts, into one folder.

    Every family gets one face before any gets a second one; small files of legible faces come
    first, so that many fit into a given size.

    Args:
        library: Screened fonts.
        folder: Target folder; must be empty or not exist.
        max_megabytes: Maximum total size of the fonts, in MB.
        latin_only: Whether to keep only the glyphs of English words
            (:func:`write_latin_subset`), so that about four times as many fonts fit; fonts
            without Latin letters are left out.

    Returns:
        The files written.

    Raises:
        FileExistsError: If the folder is not empty, or ``FOLDER.partial`` exists.
        ValueError: If not even one font fits.
    """
    folder = Path(os.path.realpath(folder))  # keeps a link, which then leads to the pack
    if folder.exists():
        if any(folder.iterdir()):
            raise FileExistsError(f"{folder} is not empty; choose another folder for the fonts")
        folder.rmdir()
    with tempfile.TemporaryDirectory() as scratch, atomic_folder(folder) as partial:
        files = _latin_files(library, Path(scratch)) if latin_only else _files(library)
        names = _choose(library, files, max_megabytes)
        for source, name in names.items():
            shutil.copyfile(files[source], partial / name)
        screened: dict[str, list[dict]] = {}
        for face in library.faces:
            if name := names.get(face.verdict.path):
                screened.setdefault(name, []).append({**asdict(face.verdict), "path": name})
        pack = {"version": SCREENING_VERSION, "files": screened}
        (partial / PACK_FILE).write_text(json.dumps(pack, indent=0), encoding="utf-8")
    return sorted(folder / name for name in names.values())


def _files(library: FontLibrary) -> dict[str, Path]:
    """Return the file of each font."""
    return {face.verdict.path: Path(face.verdict.path) for face in library.faces}


def _latin_files(library: FontLibrary, scratch: Path) -> dict[str, Path]:
    """Write a smaller file for each font that has Latin letters."""
    files: dict[str, Path] = {}
    for face in library.faces:
        source = face.verdict.path
        if face.verdict.characters and source not in files:
            files[source] = scratch / f"{len(files)}{Path(source).suffix}"
            write_latin_subset(Path(source), files[source], face.verdict.characters)
    return files


def _choose(
    library: FontLibrary, files: Mapping[str, Path], max_megabytes: float
) -> dict[str, str]:
    """Return the fonts that fit, with their names in the pack."""
    sizes = {source: file.stat().st_size for source, file in files.items()}
    budget = max_megabytes * 1e6
    names: dict[str, str] = {}
    taken: set[str] = set()
    for face in _round_robin(library, sizes):
        source = face.verdict.path
        if source in names or sizes[source] > budget:
            continue
        name, number = Path(source).name, len(names)
        while name.casefold() in taken:  # some file systems ignore case in names
            name, number = f"{number}-{Path(source).name}", number + 1
        names[source] = name
        taken.add(name.casefold())
        budget -= sizes[source]
    if not names:
        raise ValueError(f"no font fits into {max_megabytes} MB")
    return names


def _round_robin(library: FontLibrary, sizes: Mapping[str, int]) -> Iterator[Face]:
    """Yield the faces that have a size: one per family and turn, cheapest first in each turn."""

    def price(face: Face) -> float:
        """Return the file size, scaled up the less legible the face is."""
        return sizes[face.verdict.path] / face.verdict.legibility**6

    families = [
        [face for face in faces if face.verdict.path in sizes] for faces in library.families
    ]
    for turn in range(max(map(len, families))):
        yield from sorted((faces[turn] for faces in families if turn < len(faces)), key=price)
