"""Which file an event of the page is about."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any


def uploaded_file(upload: Any, folder: str | Path) -> Path | None:
    """Find the uploaded file that an event names.

    Whoever can reach the page can send events of their own. Gradio checks only values that say
    themselves that they are files, so nothing that comes in is trusted here.

    Args:
        upload: What the event sends: None, or a dictionary with ``path``.
        folder: The folder of uploads.

    Returns:
        The file, symbolic links followed; None where there is no upload.

    Raises:
        ValueError: If it is not a file of the folder. Whether there is one elsewhere is not told.
    """
    if upload is None:
        return None
    path = upload.get("path") if isinstance(upload, dict) else None
    if isinstance(path, str) and path and "\0" not in path:
        with contextlib.suppress(OSError):  # a name that is too long
            file = Path(path).resolve()
            if file.is_relative_to(Path(folder).resolve()) and file.is_file():
                return file
    raise ValueError("it was not uploaded to this page")
