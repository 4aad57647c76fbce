"""Files that are whole or not there at all."""

from __future__ import annotations

import os
from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

PARTIAL_SUFFIX = ".partial"
"""What is appended to the name of a file while it is being written."""


class AtomicLocalBackend(LocalBackend):
    """MMEngine's local file backend, with writing that no interruption leaves half done.

    A file is written under another name in the same folder, forced to the disk, and only then
    given its own name, in one step. Until then a file of that name keeps its old content, on a
    full disk or after a power failure too.
    """

    def put(self, obj: bytes | memoryview, filepath: str | Path) -> None:
        """Write a file.

        Args:
            obj: The content.
            filepath: Where to. Folders above it are made as needed.

        Raises:
            OSError: If it cannot be written. What had that name before is still there.
        """
        path = Path(filepath)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + PARTIAL_SUFFIX)
        try:
            with partial.open("wb") as file:
                file.write(obj)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except BaseException:
            # Room for others on a full disk.
            partial.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = "utf-8") -> None:
        """Write a text file.

        Args:
            obj: The content.
            filepath: Where to.
            encoding: How the text becomes bytes.

        Raises:
            OSError: If it cannot be written. What had that name before is still there.
        """
        self.put(obj.encode(encoding), filepath)


def _sync_folder(folder: Path) -> None:
    """Force the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


ATOMIC_BACKEND = "atomic_local"
"""Name of :class:`AtomicLocalBackend` in ``backend_args``."""

register_backend(ATOMIC_BACKEND, AtomicLocalBackend, force=True)
