"""Names of samples in messages."""

from __future__ import annotations

from mmocr.structures import TextRecogDataSample


def sample_name(sample: TextRecogDataSample) -> str:
    """Return the name of a sample: its ``sample_key``, else its image's path, else "".

    Args:
        sample: Sample as returned by the model.
    """
    return str(sample.get("sample_key") or sample.get("img_path") or "")
