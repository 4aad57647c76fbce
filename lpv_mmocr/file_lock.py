"""Locks on files, with which processes keep one another out."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any


def try_lock(file: IO) -> bool:
    """Lock a file for this process, unless another process has locked it.

    The system releases the lock when the process closes any descriptor of the file, even one that
    it opened for something else, or when the process ends, however that happens. Processes forked
    later do not inherit it.

    Args:
        file: File that is open for writing; on network drives, one that is open only for reading
            cannot be locked.

    Returns:
        False if another process has locked it. True also where there are no locks (Windows, some
        network drives).
    """
    try:
        import fcntl

        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except (ImportError, OSError):
        pass
    return True


def open_locked(path: Path, **options: Any) -> IO | None:
    """Open a file for appending, creating it if needed, and lock it.

    Args:
        path: The file.
        **options: Options of :func:`open`.

    Returns:
        The open file; None if another process has locked it.

    Raises:
        OSError: If the file cannot be opened for writing.
    """
    while True:
        file = path.open("a", **options)
        if not try_lock(file):
            file.close()
            return None
        # Until the lock, its previous owner may have renamed or deleted the file.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        file.close()


@contextlib.contextmanager
def only_process(path: Path, refusal: str) -> Iterator[None]:
    """Let only one process at a time into the block.

    Args:
        path: File to lock meanwhile; created if needed, and deleted at the end.
        refusal: Message of the error if another process is in the block.

    Raises:
        FileExistsError: If another process is in the block.
        OSError: If the file cannot be opened for writing.
    """
    file = open_locked(path)
    if file is None:
        raise FileExistsError(refusal)
    with file:
        try:
            yield
        finally:
            with contextlib.suppress(OSError):  # Windows deletes no open file
                path.unlink()
