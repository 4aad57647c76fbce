"""Finding the pictures that a command names."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterable, Iterator, Sequence, Set

SUFFIXES = frozenset(
    {".avif", ".bmp", ".dib", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg"}
    | {".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"}
)
"""Suffixes, in small letters, of the files that are read out of folders."""


class PictureFiles:
    """The picture files that paths name, found one after another.

    A path may be a file, whatever its suffix; a folder, whose pictures (by suffix) are taken in
    alphabetical order, those of its folders included; or a pattern with ``*``, ``?``, ``[...]`` or
    ``**``. Where a path leads to nothing, it comes up itself, so that it is reported by whoever
    tries to read it, and nothing is lost. Iterating again searches again.

    Args:
        paths: Paths and patterns.
        listed: Further paths, such as those on standard input; they are no patterns, and come
            after the others.
        results: Folder of pictures that are made of what is read; it is passed over where it lies
            in a folder that is read.

    Attributes:
        left_alone: Files in folders, found by the last iteration, that have no picture's suffix.
    """

    def __init__(
        self,
        paths: Sequence[str | os.PathLike],
        listed: Iterable[str] = (),
        *,
        results: str | os.PathLike | None = None,
    ) -> None:
        self._paths = [os.fspath(path) for path in paths]
        self._listed = listed
        self._results = None if results is None else os.path.realpath(results)
        self.left_alone = 0

    def __iter__(self) -> Iterator[str]:
        """Search; each file comes up as soon as it is found."""
        self.left_alone = 0
        for path in self._paths:
            yield from self._matching(path)
        for path in self._listed:
            yield from self._below(path)

    def _matching(self, path: str) -> Iterator[str]:
        """What a path or a pattern names, each file once."""
        matches = _matches(path)
        named, opened, found = set(matches), set(), set()
        for match in matches:
            # "**/word*" finds folders, and what lies in them.
            if os.path.isdir(match):
                if opened.intersection(_folders_above(match)):
                    continue
                opened.add(match)
            for file in self._below(match, named):
                if file in found:
                    continue
                if file in named:  # only these can come up again
                    found.add(file)
                yield file

    def _below(self, path: str, named: Set[str] = frozenset()) -> Iterator[str]:
        if not os.path.isdir(path):
            yield path
            return
        found, seen, unlisted = False, set(), []
        walk = os.walk(
            path, followlinks=True, onerror=lambda error: unlisted.append(error.filename)
        )
        for folder, subfolders, names in walk:
            real = os.path.realpath(folder)
            # A link that leads in a circle, or results.
            if real in seen or (real == self._results and folder != path):
                subfolders.clear()
                continue
            seen.add(real)
            subfolders.sort()
            for name in sorted(names):
                file = os.path.join(folder, name)
                if os.path.splitext(name)[1].lower() in SUFFIXES and not _is_pipe(file):
                    found = True
                    yield file
                elif file not in named:
                    self.left_alone += 1
        if not found and not unlisted:
            unlisted.append(path)
        yield from unlisted


def _is_pipe(path: str) -> bool:
    """Whether reading a file may wait for ever; pipes are read where they are named."""
    try:
        return stat.S_ISFIFO(os.stat(path).st_mode)
    except OSError:
        return False


def leads_nowhere(path: str) -> bool:
    """Whether a path is neither a file nor a folder, nor a pattern that fits one.

    What lies in a folder that may not be entered may exist: reading it says what is wrong.

    Args:
        path: Path or pattern.
    """
    return not any("://" in match or _may_exist(match) for match in _matches(path))


def _may_exist(path: str) -> bool:
    try:
        os.stat(path)
    except PermissionError:
        return True
    except (OSError, ValueError):  # ValueError: a null character in the path
        return False
    return True


def _folders_above(path: str) -> Iterator[str]:
    """The folders above a path, as it spells them."""
    while (above := os.path.dirname(path)) != path:
        yield above
        path = above


def _matches(path: str) -> list[str]:
    # A file may have a bracket in its name: what exists is no pattern.
    if os.path.exists(path) or not glob.has_magic(path):
        return [path]
    matches = sorted(glob.iglob(path, recursive=True))
    if os.path.basename(path) == "**":  # it finds the files of the folders, too
        matches = [match for match in matches if not os.path.isdir(match)]
    return matches or [path]
