"""Folder for data that the package can recompute."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return the folder: ``$LPV_CACHE``, or ``lpv_mmocr`` in the user's cache folder."""
    if os.environ.get("LPV_CACHE"):
        return Path(os.environ["LPV_CACHE"])
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "lpv_mmocr")
