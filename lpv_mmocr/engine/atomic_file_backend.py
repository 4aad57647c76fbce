"""MMEngine's way to write files, with files that are whole or not there at all."""

from __future__ import annotations

from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

from ..whole_files import replaced_file


class AtomicLocalBackend(LocalBackend):
    """MMEngine's local file backend, with writing that no interruption leaves half done.

    See :func:`lpv_mmocr.whole_files.replaced_file`.
    """

    def put(self, obj: bytes | memoryview, filepath: str | Path) -> None:
        """Write a file.

        Args:
            obj: The content.
            filepath: Where to. Folders above it are made as needed.

        Raises:
            OSError: If it cannot be written. What had that name before is still there.
        """
        Path(filepath).parent.mkdir(parents=True, exist_ok=True)
        with replaced_file(filepath) as file:
            file.write(obj)

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


ATOMIC_BACKEND = "atomic_local"
"""Name of :class:`AtomicLocalBackend` in ``backend_args``."""

register_backend(ATOMIC_BACKEND, AtomicLocalBackend, force=True)
