"""Library of screened fonts, sampled by family."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import ImageFont

from .font_discovery import find_font_files
from .font_screening import FontVerdict, glyph_coverage, screen_fonts
from .legibility import PRINTABLE, open_face
from .weighted_choice import choose_index

PICK_ATTEMPTS = 24


@lru_cache(maxsize=8192)
def load_face(path: str, index: int, size: int) -> ImageFont.FreeTypeFont:
    """Open a face at a pixel size, once per process; see :func:`open_face`.

    Args:
        path: Font file.
        index: Index of the face in the file (collections hold several).
        size: Pixels per em.

    Returns:
        The Pillow font.
    """
    return open_face(path, size, index)


@dataclass(frozen=True, eq=False)
class Face:
    """A usable face.

    Attributes:
        verdict: Result of its screening.
    """

    verdict: FontVerdict
    _known: dict[str, bool] = field(default_factory=dict, repr=False)

    def at(self, size: int) -> ImageFont.FreeTypeFont:
        """Return the Pillow font at a pixel size."""
        return load_face(self.verdict.path, self.verdict.index, size)

    def shows(self, text: str) -> bool:
        """Return whether every character of a text has its own glyph in this face."""
        self.check_glyphs(text)
        return all(self._known[char] for char in text)

    def check_glyphs(self, characters: Iterable[str]) -> None:
        """Check all characters not checked before, in one go.

        Printable ASCII was screened; other characters (e.g. Chinese) are checked here.
        """
        known = self._known
        if not known:
            known.update((char, char in self.verdict.characters) for char in PRINTABLE)
        unknown = [char for char in characters if char not in known]
        if unknown:
            covered = glyph_coverage(self.verdict.path, self.verdict.index, unknown)
            known.update((char, char in covered) for char in unknown)


class FontLibrary:
    """Usable faces, sampled by family.

    A family is drawn first and then one of its faces, so that a family with forty weights does not
    drown out one with a single file. A family's odds are the square root of its number of faces
    times the cube of their mean legibility: ornamental faces are included, but rare, as they are on
    streets.

    Args:
        verdicts: Screening results; rejected faces are left out.

    Raises:
        ValueError: If no usable face is left.
    """

    def __init__(self, verdicts: Iterable[FontVerdict]) -> None:
        families: dict[str, list[Face]] = {}
        self.rejected: list[FontVerdict] = []
        # Sorted by glyphs, not by path: images do not depend on where fonts are installed.
        for verdict in sorted(verdicts, key=lambda item: (item.family, item.fingerprint)):
            if verdict.usable:
                families.setdefault(verdict.family, []).append(Face(verdict))
            else:
                self.rejected.append(verdict)
        self.families = [tuple(faces) for _, faces in sorted(families.items())]
        self.faces = [face for faces in self.families for face in faces]
        if not self.faces:
            reasons = "; ".join(f"{item.path}: {item.reason}" for item in self.rejected[:3])
            raise ValueError(f"no usable font among {len(self.rejected)} files ({reasons})")
        self._odds = _family_odds(self.families)
        self._beyond_ascii = self.families, self._odds

    @classmethod
    def from_folders(
        cls,
        folders: Sequence[str | Path] = (),
        *,
        system: bool = True,
        workers: int = 1,
        show_progress: bool = False,
    ) -> FontLibrary:
        """Find and screen fonts, and collect them in a library.

        Args:
            folders: Folders (searched recursively) or font files.
            system: Whether to also use the system's fonts and those bundled with matplotlib.
            workers: Number of processes that screen fonts not seen before.
            show_progress: Whether to show a progress bar while screening.

        Returns:
            The library.

        Raises:
            FileNotFoundError: If a folder does not exist.
            ValueError: If no usable font is found.
        """
        files = find_font_files(folders, system=system)
        return cls(screen_fonts(files, workers=workers, show_progress=show_progress))

    def __len__(self) -> int:
        """Return the number of faces."""
        return len(self.faces)

    def pick(self, rng: np.random.Generator, text: str) -> Face | None:
        """Draw a face that shows every character of a text.

        Args:
            rng: Source of randomness.
            text: Text to show.

        Returns:
            The face; None if no single face shows all characters.
        """
        families, odds = (self.families, self._odds) if text.isascii() else self._beyond_ascii
        for _ in range(PICK_ATTEMPTS):
            faces = families[choose_index(rng, odds)]
            face = faces[rng.integers(len(faces))]
            if face.shows(text):
                return face
        able = [face for face in self.faces if face.shows(text)]
        return able[rng.integers(len(able))] if able else None

    def shows(self, text: str) -> bool:
        """Return whether any single face shows every character of a text."""
        families = self.families if text.isascii() else self._beyond_ascii[0]
        return any(face.shows(text) for faces in families for face in faces)

    def digest(self) -> str:
        """Return a short hash of the faces and their order, as far as images depend on them."""
        # A pack's subset of a font has equal glyphs but no hinting; the file size tells them apart.
        data = repr(
            [
                (
                    item.fingerprint,
                    item.characters,
                    item.only_case,
                    item.twins,
                    Path(item.path).stat().st_size,
                )
                for item in (face.verdict for face in self.faces)
            ]
        )
        return hashlib.sha1(data.encode(), usedforsecurity=False).hexdigest()

    def uncovered(self, characters: Iterable[str]) -> list[str]:
        """Return the characters that no face shows, sorted."""
        characters = sorted(set(characters))
        self._check_glyphs(characters)
        return [char for char in characters if not any(face.shows(char) for face in self.faces)]

    def _check_glyphs(self, characters: Iterable[str]) -> list[str]:
        """Check and return the non-ASCII characters, all at once for each face, which is faster."""
        others = [char for char in characters if not char.isascii()]
        if others:
            for face in self.faces:
                face.check_glyphs(others)
        return others

    def for_charset(self, charset: Iterable[str]) -> FontLibrary:
        """Return a library of the same faces for texts of a charset.

        For non-ASCII texts, it picks only faces that show some of the charset's non-ASCII
        characters, if any does: most faces show none of another script.

        Args:
            charset: Characters of the texts.
        """
        others = self._check_glyphs(charset)
        able = [
            tuple(face for face in faces if any(map(face.shows, others))) for faces in self.families
        ]
        able = [faces for faces in able if faces]
        library = copy.copy(self)
        if able:
            library._beyond_ascii = able, _family_odds(able)
        return library


def _family_odds(families: Sequence[tuple[Face, ...]]) -> np.ndarray:
    """Return the cumulative sum of the odds of families."""
    return np.cumsum(
        [
            len(faces) ** 0.5 * float(np.mean([face.verdict.legibility for face in faces])) ** 3
            for faces in families
        ]
    )
