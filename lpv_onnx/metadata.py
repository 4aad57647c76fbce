"""Metadata of LPV's ONNX files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .looks import Look

METADATA_KEY = "lpv"
"""Key of the entry in the file's metadata, whose value is JSON."""
FORMAT = 1
"""Version of the format; incremented when a change requires newer readers."""
REQUIRED = ("classes", "start", "end", "preprocessing")
REQUIRED_OF_PREPROCESSING = (
    *("height", "width", "interpolation", "keep_ratio"),
    *("channels", "mean", "std"),
)


class ModelError(ValueError):
    """The ONNX file cannot be used; the message says why."""


def parse_metadata(text: str | None, path: Path) -> dict[str, Any]:
    """Parse the metadata of a file.

    Args:
        text: Entry ``lpv`` of the file's metadata, JSON; None if there is none.
        path: File name for messages.

    Returns:
        The entry, with everything that reading needs.

    Raises:
        ModelError: If there is no entry, something is missing in it, or it is for a later version
            of this package.
    """
    if text is None:
        raise ModelError(
            f"{path} has no LPV metadata; export it with tools/deployment/export_onnx.py"
        )
    try:
        metadata = json.loads(text)
    except ValueError as error:
        raise _damaged(path, f"entry {METADATA_KEY} is not JSON: {error}") from error
    if not isinstance(metadata, dict) or not isinstance(metadata.get("format"), int):
        raise _damaged(path, f"entry {METADATA_KEY} has no format number")
    if metadata["format"] > FORMAT:
        maker = metadata.get("lpv_mmocr", "of an unknown version")
        raise ModelError(f"{path} was made by lpv-mmocr {maker}, for a later version of lpv_onnx")
    missing = _missing(metadata, REQUIRED) or [
        f"preprocessing.{name}"
        for name in _missing(metadata["preprocessing"], REQUIRED_OF_PREPROCESSING)
    ]
    if missing:
        raise _damaged(path, f"there is no {', '.join(missing)}")
    return metadata


def parse_tta(metadata: dict[str, Any], path: Path) -> tuple[tuple[Look, ...], float]:
    """Parse the settings of test-time augmentation.

    Args:
        metadata: Metadata of the file.
        path: File name for messages.

    Returns:
        The looks, empty if the file has none, and the confidence from which none is tried.

    Raises:
        ModelError: If the settings are invalid.
    """
    entry = metadata.get("tta")
    if entry is None:
        return (), 0.0
    try:
        return tuple(Look(**look) for look in entry["looks"]), float(entry["sure"])
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, f"entry tta is invalid: {error}") from error


def _damaged(path: Path, how: str) -> ModelError:
    return ModelError(
        f"{path} has damaged metadata; export it again with tools/deployment/export_onnx.py ({how})"
    )


def _missing(entries: Any, names: Sequence[str]) -> list[str]:
    return [name for name in names if not isinstance(entries, dict) or name not in entries]
