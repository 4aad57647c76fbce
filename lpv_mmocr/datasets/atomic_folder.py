"""Folders that appear under their final name only when they are complete."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from ..atomic_files import partial_path


def require_absent(path: str | os.PathLike) -> None:
    """Check that a path does not exist yet.

    Args:
        path: The path.

    Raises:
        FileExistsError: If something is there.
    """
    # A dangling link counts as existing.
    if os.path.lexists(path):
        raise FileExistsError(f"{path} exists; choose another name")


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike) -> Iterator[Path]:
    """Create a folder with its content, completely or not at all.

    The content is written into ``PATH.partial``, which is renamed to ``PATH`` when the block ends
    without an error and removed otherwise. Only a killed process leaves it behind.

    Args:
        path: Folder to create. Parent folders are created as needed.

    Yields:
        The partial folder, empty.

    Raises:
        FileExistsError: If ``path`` or ``PATH.partial`` exists.
    """
    path = Path(path)
    partial = partial_path(path)
    require_absent(path)
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
        require_absent(path)
        partial.rename(path)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
