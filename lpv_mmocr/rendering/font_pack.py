"""Taking screened fonts to another machine."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

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
    """Copies screened fonts, with their verdicts, into one folder.

    Every family gets one face before any gets a second one; small files of legible faces come
    first, so that a given size holds many.

    Args:
        library: Screened fonts.
        folder: Where to put them; must not exist or be empty.
        max_megabytes: Stop before the files exceed this size.
        latin_only: Keep only the glyphs of English words (:func:`write_latin_subset`), so that
            three or four times as many fonts fit. Other scripts cannot be rendered with them.

    Returns:
        The files written.

    Raises:
        FileExistsError: If the folder holds something.
        ValueError: If not even one font fits.
    """
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty; choose another folder for the fonts")
    budget = max_megabytes * 1e6
    copy = write_latin_subset if latin_only else shutil.copyfile
    chosen: dict[str, Path] = {}
    too_large: set[str] = set()
    names: set[str] = set()
    folder.mkdir(parents=True, exist_ok=True)
    for face in _round_robin(library):
        source = Path(face.verdict.path)
        known = str(source) in chosen or str(source) in too_large
        if known or (not latin_only and source.stat().st_size > budget):
            continue
        name = source.name if source.name not in names else f"{len(names)}-{source.name}"
        target = folder / name
        copy(source, target)
        size = target.stat().st_size
        if size > budget:
            too_large.add(str(source))
            target.unlink()
            continue
        names.add(name)
        chosen[str(source)] = target
        budget -= size
    if not chosen:
        raise ValueError(f"no font fits into {max_megabytes} MB")
    screened: dict[str, list[dict]] = {}
    for face in library.faces:
        target = chosen.get(face.verdict.path)
        if target is not None:
            verdict = {**asdict(face.verdict), "path": target.name}
            screened.setdefault(target.name, []).append(verdict)
    pack = {"version": SCREENING_VERSION, "files": screened}
    (folder / PACK_FILE).write_text(json.dumps(pack, indent=0), encoding="utf-8")
    return sorted(chosen.values())


def _round_robin(library: FontLibrary) -> Iterator[Face]:
    for turn in range(max(map(len, library.families))):
        yield from sorted(
            (faces[turn] for faces in library.families if turn < len(faces)), key=_price
        )


def _price(face: Face) -> float:
    """Size of the file, the dearer the less legible the face is."""
    return Path(face.verdict.path).stat().st_size / face.verdict.legibility**6
