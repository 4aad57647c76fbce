"""Names of samples, in messages and in names of files."""

from __future__ import annotations

import os

from mmocr.structures import TextRecogDataSample


def sample_name(sample: TextRecogDataSample) -> str:
    """Return the name of a sample: its ``sample_key``, else its image's path, else "".

    Args:
        sample: Sample as returned by the model.
    """
    return str(sample.get("sample_key") or sample.get("img_path") or "")


def truncated(name: str, size: int) -> str:
    """Truncate a file name to a number of bytes, at a character boundary.

    Args:
        name: File name, or its beginning.
        size: Maximum number of bytes.
    """
    while len(os.fsencode(name)) > size:
        name = name[:-1]
    return name
