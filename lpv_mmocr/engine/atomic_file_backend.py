"""MMEngine file backend whose files are complete or absent."""

from __future__ import annotations

from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

from ..atomic_files import write_file


class AtomicLocalBackend(LocalBackend):
    """MMEngine's local file backend with atomic writes.

    See :func:`lpv_mmocr.atomic_files.atomic_write`.
    """

    def put(self, obj: bytes | memoryview, filepath: str | Path) -> None:
        """Write a file atomically.

        Args:
            obj: Content.
            filepath: Path of the file. Parent folders are created as needed.

        Raises:
            OSError: If it cannot be written; an existing file of that name is kept.
        """
        write_file(filepath, obj)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = "utf-8") -> None:
        """Write a text file atomically.

        Args:
            obj: Content.
            filepath: Path of the file. Parent folders are created as needed.
            encoding: Text encoding.

        Raises:
            OSError: If it cannot be written; an existing file of that name is kept.
        """
        self.put(obj.encode(encoding), filepath)


ATOMIC_BACKEND = "atomic_local"
"""Name of :class:`AtomicLocalBackend` in ``backend_args``."""

register_backend(ATOMIC_BACKEND, AtomicLocalBackend, force=True)
