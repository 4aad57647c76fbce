"""Font screening, once per file: legibility, and the characters that a font really shows."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from fontTools.ttLib import TTCollection, TTFont
from mmengine.logging import print_log
from PIL import ImageFont

from ..atomic_files import atomic_write
from ..datasets.cache_folder import cache_folder
from ..progress import progress_bar
from .legibility import (
    ALPHANUMERIC,
    GLYPH_SIZE,
    PRINTABLE,
    draw_glyph,
    legibility,
    likeness,
    only_case,
    open_face,
    template,
)
from .processes import single_threaded_opencv, worker_pool

SCREENING_VERSION = 7
"""Part of the cache's file name; increase it when a verdict may change."""

MIN_LEGIBILITY = 0.56
"""Faces below this are dingbats, ciphers, Greek on Latin keys, or letters lost in ornament."""

MIN_LETTER_LIKENESS, MIN_SYMBOL_LIKENESS = 0.35, 0.85
MIN_OTHER_LETTERS = 100
MIN_ADVANCE = 0.5
"""Median advance per letter, in widths of its ink, below which letters overlap.
Two of Debian's faces have no advance at all; the next have 0.7."""

MANY_FILES = 50
"""Number of files whose screening takes long enough to be announced."""

PACK_FILE = "screened.json"
"""File with the verdicts of fonts that were screened elsewhere, stored next to the fonts."""


@dataclass(frozen=True)
class FontVerdict:
    """Result of screening one face.

    Attributes:
        path: Font file.
        index: Index of the face in the file.
        family: Family name.
        usable: Whether words may be rendered with it.
        reason: Why it is not usable, if so.
        characters: Printable ASCII characters with their own glyph that looks like them.
        legibility: Fraction of letters and digits that look like what they stand for; 1 for fonts
            of other scripts.
        only_case: "upper" if small letters are drawn as capitals, "lower" if capitals are drawn as
            small letters; only that case may be rendered. Empty for all other faces.
        twins: Letters and digits that are drawn exactly like another one, such as 0 and O; case
            pairs, such as o and O, do not count.
        fingerprint: Equal for faces with equal Latin glyphs; for those without any, identifies
            the file's content and the face in it.
    """

    path: str
    index: int
    family: str
    usable: bool
    reason: str = ""
    characters: str = ""
    legibility: float = 0.0
    only_case: str = ""
    twins: str = ""
    fingerprint: str = ""


def screen_fonts(
    files: Sequence[str | Path], *, workers: int = 1, show_progress: bool = False
) -> list[FontVerdict]:
    """Screen font files, reading earlier verdicts from font packs and the cache.

    A cached verdict belongs to a path, a size and a modification time; if any of them differs,
    the file is screened again. Of files with faces of equal fingerprints, the first is kept.

    Args:
        files: Font files.
        workers: Number of processes for files that are not in the cache.
        show_progress: Whether to show a progress bar.

    Returns:
        One verdict per face, in the order of the files.

    Raises:
        ValueError: If the verdicts of a font pack are damaged.
    """
    store = cache_folder() / f"fonts-v{SCREENING_VERSION}.json"
    known: dict[str, list[dict]] = {}
    if store.is_file():
        # A damaged cache costs time, never correctness.
        with contextlib.suppress(ValueError, TypeError, AttributeError):
            read = json.loads(store.read_text(encoding="utf-8"))
            _check_verdicts(read)
            known = read
    keys = {}
    for file in map(str, files):
        stat = os.stat(file)
        keys[file] = f"{file}|{stat.st_size}|{stat.st_mtime_ns}"
    packed = {file: found for file in keys if (found := _packed_verdicts(Path(file)))}
    missing = [file for file, key in keys.items() if key not in known and file not in packed]
    if missing:
        if not show_progress and len(missing) >= MANY_FILES:
            print_log(f"Screening {len(missing)} font files, some 20 ms each", logger="current")
        with progress_bar(len(missing), "screening fonts", enabled=show_progress) as advance:
            for file, verdicts in _screen_many(missing, workers):
                known[keys[file]] = [asdict(item) for item in verdicts]
                advance(1)
        # With a read-only home folder, fonts are simply screened again next time.
        with contextlib.suppress(OSError):
            store.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(store, durable=False) as cache:
                cache.write(json.dumps(known).encode())
    found = [
        FontVerdict(**item)
        for file, key in keys.items()
        for item in (packed[file] if file in packed else known[key])
    ]
    return _without_duplicates(found)


def _packed_verdicts(file: Path) -> list[dict] | None:
    """Return the verdicts bundled with a font pack, or None."""
    files = _read_pack(str(file.parent))
    if file.name not in files:
        return None
    return [{**item, "path": str(file)} for item in files[file.name]]


@lru_cache(maxsize=64)
def _read_pack(folder: str) -> dict[str, list[dict]]:
    pack = Path(folder) / PACK_FILE
    if not pack.is_file():
        return {}
    try:
        content = json.loads(pack.read_text(encoding="utf-8"))
        if content["version"] != SCREENING_VERSION:
            print_log(
                f"The fonts of {folder} were screened by another version of this package, and are "
                "screened again; a new pack would save that",
                logger="current",
                level=logging.WARNING,
            )
            return {}
        _check_verdicts(content["files"])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(
            f"{pack} is damaged ({type(error).__name__}: {error}); copy the font pack again, or "
            "delete the file to have the fonts screened here"
        ) from error
    return content["files"]


def _check_verdicts(verdicts: dict[str, list[dict]]) -> None:
    """Raise TypeError or AttributeError if an entry is not a valid verdict."""
    for items in verdicts.values():
        for item in items:
            FontVerdict(**item)


def _screen_many(files: Sequence[str], workers: int) -> Iterable[tuple[str, list[FontVerdict]]]:
    if workers <= 1 or len(files) < 2 * workers:
        for file in files:
            yield file, screen_font(file)
        return
    with single_threaded_opencv(), worker_pool(workers) as executor:
        yield from zip(files, executor.map(screen_font, files, chunksize=4), strict=True)


def _without_duplicates(verdicts: Sequence[FontVerdict]) -> list[FontVerdict]:
    seen: dict[str, str] = {}
    kept = []
    for verdict in verdicts:
        if verdict.usable:
            first = seen.setdefault(verdict.fingerprint, verdict.path)
            if first != verdict.path:
                reason = f"same glyphs as {first}"
                verdict = _reject(verdict.path, verdict.index, reason, verdict.family)
        kept.append(verdict)
    return kept


def screen_font(path: str | Path) -> list[FontVerdict]:
    """Screen every face of one font file.

    Args:
        path: Font file.

    Returns:
        One verdict per face; a single rejection if the file cannot be read.
    """
    path = str(path)
    try:
        faces = len(TTCollection(path, lazy=True)) if _is_collection(path) else 1
    except Exception as error:  # Font files in the wild fail in every possible way.
        return [_reject(path, 0, f"not readable ({type(error).__name__})")]
    return [_screen_face(path, index) for index in range(faces)]


def _is_collection(path: str) -> bool:
    return path.lower().endswith((".ttc", ".otc"))


def _reject(path: str, index: int, reason: str, family: str = "") -> FontVerdict:
    return FontVerdict(
        path=path, index=index, family=family or Path(path).stem, usable=False, reason=reason
    )


def _screen_face(path: str, index: int) -> FontVerdict:
    try:
        font = open_face(path, GLYPH_SIZE, index)
        family = font.getname()[0] or Path(path).stem
        characters = "".join(sorted(glyph_coverage(path, index, PRINTABLE)))
    except Exception as error:
        return _reject(path, index, f"not readable ({type(error).__name__})")
    letters = [char for char in ALPHANUMERIC if char in characters]
    if len(letters) < 26:
        others = _other_letters(path, index)
        if others < MIN_OTHER_LETTERS:
            return _reject(path, index, f"only {len(letters)} Latin letters and digits", family)
        return FontVerdict(
            path=path,
            index=index,
            family=family,
            usable=True,
            legibility=1.0,
            fingerprint=f"{hashlib.sha256(Path(path).read_bytes()).hexdigest()}|{index}",
        )
    glyphs = {char: draw_glyph(font, char) for char in characters}
    advance = np.median([font.getlength(char) / glyphs[char].shape[1] for char in letters])
    if advance < MIN_ADVANCE:
        return _reject(path, index, f"letters overlap (step {advance:.2f})", family)
    templates = {char: template(glyph) for char, glyph in glyphs.items()}
    scores = dict(zip(templates, likeness(list(templates.values())), strict=True))
    score = legibility({char: scores[char] for char in letters})
    if score < MIN_LEGIBILITY:
        return _reject(path, index, f"legibility {score:.2f}", family)
    data = b"".join(glyphs[char].tobytes() for char in letters)
    return FontVerdict(
        path=path,
        index=index,
        family=family,
        usable=True,
        characters=_trusted(characters, scores),
        legibility=round(score, 3),
        only_case=only_case(templates, scores),
        twins=_twins({char: glyphs[char] for char in letters}),
        fingerprint=hashlib.sha1(data, usedforsecurity=False).hexdigest(),
    )


def _twins(glyphs: Mapping[str, np.ndarray]) -> str:
    """Return the characters with the glyph of another one; case pairs do not count as others."""
    alike: dict[tuple, list[str]] = {}
    for char, glyph in glyphs.items():
        alike.setdefault((glyph.shape, glyph.tobytes()), []).append(char)
    return "".join(
        char for group in alike.values() if len({*map(str.lower, group)}) > 1 for char in group
    )


def _trusted(characters: str, scores: Mapping[str, np.ndarray]) -> str:
    """Return the characters that a face draws as themselves."""
    kept = "".join(char for char in characters if _resembles(char, scores[char]))
    symbols, kept_symbols = (
        sum(not char.isalnum() for char in each) for each in (characters, kept)
    )
    if kept_symbols < symbols / 2:  # others are in their place, a few similar by chance
        kept = "".join(char for char in kept if char.isalnum())
    return kept


def _resembles(char: str, scores: np.ndarray) -> bool:
    """Return whether a glyph is close enough to its character in some known face.

    Mathematical faces draw arrows where brackets should be; letters may differ more.
    """
    floor = MIN_LETTER_LIKENESS if char.isalnum() else MIN_SYMBOL_LIKENESS
    own = scores[PRINTABLE.index(char)]
    if char.isalpha():
        own = max(own, scores[PRINTABLE.index(char.swapcase())])
    return bool(own >= floor)


def glyph_coverage(path: str, index: int, characters: Iterable[str]) -> set[str]:
    """Return the characters that a face really shows.

    A character counts if the character map contains it and its glyph leaves ink, differs from
    the glyph for missing characters, and is not shared by three or more characters (some fonts
    fill gaps with a box).

    Args:
        path: Font file.
        index: Index of the face in the file.
        characters: Characters to check.

    Returns:
        The covered ones.
    """
    characters = list(dict.fromkeys(characters))
    mapped = _character_map(path, index)
    if not any(ord(char) in mapped for char in characters):
        return set()
    font = open_face(path, GLYPH_SIZE, index)
    missing_glyph = _bitmap(font, _unmapped(mapped))
    bitmaps = {}
    for char in characters:
        if ord(char) not in mapped:
            continue
        bitmap = _bitmap(font, char)
        if bitmap and bitmap != missing_glyph:
            bitmaps[char] = bitmap
    shared = Counter(bitmaps.values())
    return {char for char, bitmap in bitmaps.items() if shared[bitmap] < 3}


@lru_cache(maxsize=256)
def _character_map(path: str, index: int) -> frozenset[int]:
    number = index if _is_collection(path) else -1
    with TTFont(path, lazy=True, fontNumber=number) as font:
        return frozenset(font.getBestCmap() or ())


def _unmapped(mapped: frozenset[int]) -> str:
    private = (*range(0xF8F0, 0xF900), *range(0x10FF00, 0x10FFFE))
    return next(chr(code) for code in private if code not in mapped)


def _other_letters(path: str, index: int) -> int:
    return sum(
        unicodedata.category(chr(code)).startswith("L") and code > 0x24F
        for code in _character_map(path, index)
    )


def _bitmap(font: ImageFont.FreeTypeFont, char: str) -> tuple[tuple[int, ...], bytes] | None:
    glyph = draw_glyph(font, char)
    return (glyph.shape, glyph.tobytes()) if glyph.size and glyph.max() > 96 else None
