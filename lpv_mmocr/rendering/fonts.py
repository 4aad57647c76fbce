"""A collection of screened fonts, drawn from family by family."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import ImageFont

from .drawing import draw_index
from .font_discovery import find_font_files
from .font_screening import FontVerdict, glyph_coverage, screen_fonts
from .legibility import PRINTABLE

PICK_ATTEMPTS = 24


@lru_cache(maxsize=8192)
def load_face(path: str, index: int, size: int) -> ImageFont.FreeTypeFont:
    """Opens a face at a pixel size, once per process.

    Basic layout: it needs no optional library, so pictures do not depend on whether one is there.

    Args:
        path: Font file.
        index: Face in the file (collections hold several).
        size: Pixels per em.

    Returns:
        The Pillow font.
    """
    return ImageFont.truetype(path, size, index=index, layout_engine=ImageFont.Layout.BASIC)


@dataclass(frozen=True, eq=False)
class Face:
    """One usable face.

    Attributes:
        verdict: What screening found out about it.
    """

    verdict: FontVerdict
    _known: dict[str, bool] = field(default_factory=dict, repr=False)

    def at(self, size: int) -> ImageFont.FreeTypeFont:
        """Returns the Pillow font at a pixel size."""
        return load_face(self.verdict.path, self.verdict.index, size)

    def shows(self, text: str) -> bool:
        """Whether every character of a text has a glyph of its own in this face."""
        self.learn(text)
        return all(self._known[char] for char in text)

    def learn(self, characters: Iterable[str]) -> None:
        """Checks characters that were not asked for before, all in one go.

        Printable ASCII was screened; others (Chinese, say) are looked at here.
        """
        known = self._known
        if not known:
            known.update((char, char in self.verdict.characters) for char in PRINTABLE)
        unknown = [char for char in characters if char not in known]
        if unknown:
            covered = glyph_coverage(self.verdict.path, self.verdict.index, unknown)
            known.update((char, char in covered) for char in unknown)


class FontLibrary:
    """Faces to choose from.

    A family is drawn first and then one of its faces, so that a family with forty weights does not
    drown one with a single file. A family's odds are the square root of its number of faces times
    the cube of their mean legibility: ornamental faces stay in, as seldom as they are on streets.

    Args:
        verdicts: Screened faces; rejected ones are left out.

    Raises:
        ValueError: If no usable face is left.
    """

    def __init__(self, verdicts: Iterable[FontVerdict]) -> None:
        families: dict[str, list[Face]] = {}
        self.rejected: list[FontVerdict] = []
        # Sorted by glyphs, not by path: pictures are the same wherever fonts are installed.
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
        """Discovers, screens and collects fonts.

        Args:
            folders: Folders (searched recursively) or font files.
            system: Also use the fonts of the system and those that matplotlib brings.
            workers: Processes that screen fonts not seen before.
            show_progress: Show a bar while screening.

        Returns:
            The library.

        Raises:
            FileNotFoundError: If a folder does not exist.
            ValueError: If no usable font is found.
        """
        files = find_font_files(folders, system=system)
        return cls(screen_fonts(files, workers=workers, show_progress=show_progress))

    def __len__(self) -> int:
        """Number of faces."""
        return len(self.faces)

    def pick(self, rng: np.random.Generator, text: str) -> Face | None:
        """Draws a face that shows every character of a text.

        Args:
            rng: Source of randomness.
            text: What is to be shown.

        Returns:
            The face; None if no single one shows all characters.
        """
        families, odds = (self.families, self._odds) if text.isascii() else self._beyond_ascii
        for _ in range(PICK_ATTEMPTS):
            faces = families[draw_index(rng, odds)]
            face = faces[rng.integers(len(faces))]
            if face.shows(text):
                return face
        able = [face for face in self.faces if face.shows(text)]
        return able[rng.integers(len(able))] if able else None

    def shows(self, text: str) -> bool:
        """Whether some single face shows every character of a text."""
        families = self.families if text.isascii() else self._beyond_ascii[0]
        return any(face.shows(text) for faces in families for face in faces)

    def digest(self) -> str:
        """Returns a short hash of the faces and their order, by what pictures depend on."""
        # A pack's subset of a font has equal glyphs, but not what fits them to small sizes.
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
        """Returns those characters that no face shows, sorted.

        Faces remember the outcome, and later draws of text beyond ASCII only turn to faces that
        show some of these characters.
        """
        characters = sorted(set(characters))
        others = [char for char in characters if not char.isascii()]
        if others:
            for face in self.faces:
                face.learn(others)
            able = [
                tuple(face for face in faces if any(map(face.shows, others)))
                for faces in self.families
            ]
            able = [faces for faces in able if faces]
            if able:
                self._beyond_ascii = able, _family_odds(able)
        return [char for char in characters if not any(face.shows(char) for face in self.faces)]


def _family_odds(families: Sequence[tuple[Face, ...]]) -> np.ndarray:
    """Running sum of the odds of families."""
    return np.cumsum(
        [
            len(faces) ** 0.5 * float(np.mean([face.verdict.legibility for face in faces])) ** 3
            for faces in families
        ]
    )
