"""Locks on files, with which processes keep one another out."""

from __future__ import annotations

from typing import IO


def try_lock(file: IO) -> bool:
    """Lock a file for this process, unless another process has locked it.

    The system releases the lock when the process closes the file (even if it was opened a second
    time) or ends, however that happens. Processes forked later do not inherit it.

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
