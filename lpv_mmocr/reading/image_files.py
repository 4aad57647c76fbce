"""Search for the images that a command names."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterable, Iterator, Sequence, Set

SUFFIXES = frozenset(
    {".avif", ".bmp", ".dib", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg"}
    | {".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"}
)
"""Lower-case suffixes of the files that are read from folders."""


class ImageFiles:
    """Iterable over the image files that paths name.

    A path may be a file with any suffix; a folder, whose images (by suffix) are taken in
    alphabetical order, including those in its subfolders, each folder once and links to folders
    last; or a pattern with ``*``, ``?``, ``[...]`` or ``**``. A path that leads to nothing is
    yielded itself, so that the attempt to read it reports the error and nothing is lost. Iterating
    again searches again.

    Args:
        paths: Paths and patterns.
        listed: Further paths, such as those on standard input; not treated as patterns, and
            yielded after ``paths``.
        results: Folder for images made from the readings; skipped if it is inside a folder that
            is read, or matches a pattern that matches other files as well.

    Attributes:
        skipped: Number of files that the last iteration skipped in folders: those without an
            image suffix, pipes, and results.
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
        self.skipped = 0

    def __iter__(self) -> Iterator[str]:
        """Search, and yield each file as soon as it is found."""
        self.skipped = 0
        for path in self._paths:
            yield from self._matching(path)
        for path in self._listed:
            yield from self._below(path)

    def _matching(self, path: str) -> Iterator[str]:
        """Yield the files that a path or pattern names, each once."""
        matches = _matches(path)
        named, opened, found = set(matches), set(), set()
        # A pattern that matches nothing else is meant for the results.
        matches = [match for match in matches if not self._is_result(match)] or matches
        self.skipped += sum(not os.path.isdir(match) for match in named.difference(matches))
        for match in matches:
            # "**/word*" finds folders as well as their contents.
            if os.path.isdir(match):
                if opened.intersection(_folders_above(match)):
                    continue
                opened.add(match)
            for file in self._below(match, named):
                if file in found:
                    continue
                if file in named:  # only these can be found again
                    found.add(file)
                yield file

    def _below(self, path: str, named: Set[str] = frozenset()) -> Iterator[str]:
        if not os.path.isdir(path):
            yield path
            return
        found, unlisted = False, []
        for folder, names in self._folders(path, named, unlisted):
            for name in names:
                file = os.path.join(folder, name)
                if os.path.splitext(name)[1].lower() in SUFFIXES and not _is_pipe(file):
                    found = True
                    yield file
                elif file not in named:
                    self.skipped += 1
        if not found and not unlisted:
            unlisted.append(path)
        yield from unlisted

    def _folders(
        self, path: str, named: Set[str], unlisted: list[str]
    ) -> Iterator[tuple[str, list[str]]]:
        """Walk through a folder, and yield each folder and the sorted names of its files.

        Links are followed last, so that files are found by their own path if they have one here.
        """
        seen, pending = set(), [path]
        while pending:
            walk = os.walk(pending.pop(0), onerror=lambda error: unlisted.append(error.filename))
            for folder, subfolders, names in walk:
                real = os.path.realpath(folder)
                if real in seen:
                    subfolders.clear()
                    continue
                seen.add(real)
                if real == self._results and folder != path:
                    subfolders.clear()
                    for inside, _, files in os.walk(folder):
                        paths = (os.path.join(inside, file) for file in files)
                        self.skipped += sum(file not in named for file in paths)
                    continue
                subfolders.sort()
                inside = (os.path.join(folder, name) for name in subfolders)
                pending.extend(filter(os.path.islink, inside))
                yield folder, sorted(names)

    def _is_result(self, path: str) -> bool:
        if self._results is None:
            return False
        real = os.path.realpath(path)
        return self._results in (real, *_folders_above(real))


def _is_pipe(path: str) -> bool:
    """Return whether a file is a pipe, which may block for ever and is read only if named."""
    try:
        return stat.S_ISFIFO(os.stat(path).st_mode)
    except OSError:
        return False


def matches_nothing(path: str) -> bool:
    """Return whether a path is no file, folder or URL, nor a pattern that matches a file or folder.

    A path inside a folder that may not be entered may exist: reading it reports the error.

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
    """Yield the parent folders of a path, as spelt in it."""
    while (above := os.path.dirname(path)) != path:
        yield above
        path = above


def _matches(path: str) -> list[str]:
    # A file name may contain brackets: an existing path is not a pattern.
    if os.path.exists(path) or not glob.has_magic(path):
        return [path]
    matches = sorted(glob.iglob(path, recursive=True))
    if os.path.basename(path) == "**":  # it finds the files in the folders, too
        matches = [match for match in matches if not os.path.isdir(match)]
    return matches or [path]
