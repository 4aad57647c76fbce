"""Folders that appear under their name only when they are complete."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from ..whole_files import partial_of


def refuse_existing(path: str | os.PathLike) -> None:
    """Check that a path does not exist yet.

    Args:
        path: The path.

    Raises:
        FileExistsError: If something is there.
    """
    # A link that leads nowhere is something, too.
    if os.path.lexists(path):
        raise FileExistsError(f"{path} exists; choose another name")


@contextlib.contextmanager
def new_folder(path: str | os.PathLike) -> Iterator[Path]:
    """Make a folder, all of it or nothing.

    Its content is written into ``PATH.partial``, which takes the final name when the block ends
    without an error, and is removed otherwise. Only a process that is killed leaves it.

    Args:
        path: Folder to make. Folders above it are made as needed.

    Yields:
        The partial folder, empty.

    Raises:
        FileExistsError: If ``path`` or ``PATH.partial`` exists.
    """
    path = Path(path)
    partial = partial_of(path)
    refuse_existing(path)
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
        refuse_existing(path)
        partial.rename(path)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
