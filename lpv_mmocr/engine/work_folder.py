"""Lock that keeps other training runs out of a work folder."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from ..file_lock import only_process

LOCK_FILE = "training.lock"
"""File of a work folder that is locked while a process trains there, and deleted at the end."""


def only_run_in(work_dir: Path) -> AbstractContextManager:
    """Return a context that keeps other processes from training in a work folder.

    Args:
        work_dir: The folder; created if needed.

    Raises:
        FileExistsError: On entering the context, if another process trains there.
    """
    work_dir.mkdir(parents=True, exist_ok=True)
    lock = work_dir / LOCK_FILE
    return only_process(
        lock,
        f"another process trains in {work_dir}: wait for its end, or choose another folder "
        f"(--work-dir). If it was on a machine that is lost, delete {lock}",
    )
