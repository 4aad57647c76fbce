"""Files that appear under their name only when they are whole, and names of those that are not."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

PARTIAL_SUFFIX = ".partial"
"""How the name of what is still being written ends."""

_NOT_FOR_FOLDERS = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}
"""What some network drives answer when they are to sync a folder."""

_PARTIAL = re.compile(rf"(.+?)(?:\.[0-9a-f]{{8}})?{re.escape(PARTIAL_SUFFIX)}")


@contextlib.contextmanager
def replaced_file(path: str | os.PathLike, *, durable: bool = True) -> Iterator[BinaryIO]:
    """Write a file in one step, in the place of the one that may be there.

    The content goes into a file of another name in the same folder, which takes the final name
    when the block ends without an error, and is removed otherwise. Until then what had the name
    before is still there. Of several processes that write one file, the last one counts.

    Args:
        path: The file.
        durable: Whether the content is forced to the disk first, so that it is there even after a
            power failure.

    Yields:
        A file to write bytes into.

    Raises:
        OSError: If it cannot be written.
    """
    path = Path(path)
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}{PARTIAL_SUFFIX}")
    try:
        with partial.open("xb") as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        # Room for others on a full disk.
        partial.unlink(missing_ok=True)
        raise
    if durable:
        _sync_folder(path.parent)


def partial_of(path: Path) -> Path:
    """Where something lies while it is being made by the only one who makes it.

    Args:
        path: The name that it gets.
    """
    return path.with_name(path.name + PARTIAL_SUFFIX)


def is_partial(name: str) -> bool:
    """Whether a file or folder was being written, by its name.

    Args:
        name: Its name, without the folders above it.
    """
    return name.endswith(PARTIAL_SUFFIX)


def intended_name(name: str) -> str:
    """The name that a file gets, or has already.

    Args:
        name: The name of a partial file or of a whole one.
    """
    match = _PARTIAL.fullmatch(name)
    return match[1] if match else name


def _sync_folder(folder: Path) -> None:
    """Force the names in a folder to the disk, where the system can: what is there is whole."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:
        return  # Windows opens no folders
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NOT_FOR_FOLDERS:
            raise
    finally:
        os.close(descriptor)
