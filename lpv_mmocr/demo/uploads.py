"""Check of the files that events of the page name."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any


def uploaded_file(upload: Any, folder: str | Path) -> Path | None:
    """Return the uploaded file that an event names.

    Anyone who can reach the page can send arbitrary events. Gradio checks only values that declare
    themselves to be files, so no input is trusted here.

    Args:
        upload: Content of the event: None, or a dictionary with ``path``.
        folder: Folder of uploads.

    Returns:
        The file, with symbolic links resolved; None if there is no upload.

    Raises:
        ValueError: If it is not a file in the folder. The message does not reveal whether the file
            exists elsewhere.
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
