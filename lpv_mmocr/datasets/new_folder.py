"""Folders that appear under their name only when they are complete."""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

_PARTIAL, _REPLACED = ".partial", ".replaced-"


def refuse_existing(path: str | os.PathLike, advice: str = "choose another name") -> None:
    """Check that nothing has a name yet.

    Args:
        path: The name.
        advice: What to do otherwise, for the error.

    Raises:
        FileExistsError: If something is there.
    """
    # A link that leads nowhere is something, too.
    if os.path.lexists(path):
        raise FileExistsError(f"{path} exists; {advice}")


def partial_of(path: Path) -> Path:
    """Where a folder lies while it is being made.

    Args:
        path: The name that it gets.
    """
    return path.with_name(path.name + _PARTIAL)


def is_unfinished(name: str) -> bool:
    """Whether a folder is one that is being made, or replaced, by its name.

    Args:
        name: Its name, without the folders above it.
    """
    return name.endswith(_PARTIAL) or (name.startswith(".") and _REPLACED in name)


@contextlib.contextmanager
def new_folder(
    path: str | os.PathLike, *, overwrite: bool = False, advice: str = "choose another name"
) -> Iterator[Path]:
    """Make a folder, all of it or nothing.

    Its content is written into ``PATH.partial``, which takes the final name when the block ends
    without an error, and is removed otherwise. Only a process that is killed leaves it.

    Args:
        path: Folder to make. Folders above it are made as needed.
        overwrite: Replace what is there, at the end, instead of refusing to begin.
        advice: What to do if it exists, for the error.

    Yields:
        The partial folder, empty.

    Raises:
        FileExistsError: If ``path`` exists and ``overwrite`` is not set, or ``PATH.partial`` does.
    """
    # What a link leads to is replaced, not the link.
    path = Path(os.path.realpath(path) if overwrite else path)
    partial = partial_of(path)
    if not overwrite:
        refuse_existing(path, advice)
    partial.parent.mkdir(parents=True, exist_ok=True)
    try:
        partial.mkdir()
    except FileExistsError:
        raise FileExistsError(
            f"{partial} exists: a run that was killed left it, or another one is writing there; "
            "delete it to start again"
        ) from None
    try:
        yield partial
        _publish(partial, path, overwrite, advice)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _publish(partial: Path, path: Path, overwrite: bool, advice: str) -> None:
    if not overwrite:
        refuse_existing(path, advice)
    if os.path.lexists(path):
        replaced = path.with_name(f".{path.name}{_REPLACED}{uuid.uuid4().hex[:8]}")
        path.rename(replaced)
        partial.rename(path)
        if replaced.is_dir():
            shutil.rmtree(replaced)
        else:
            replaced.unlink()
    else:
        partial.rename(path)
