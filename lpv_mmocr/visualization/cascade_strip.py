"""Compact strip of the cascade."""

from __future__ import annotations

import numpy as np
from mmengine.structures import LabelData

from .attention_picture import draw_attention


def draw_cascade_strip(
    image: np.ndarray, attention: LabelData, *, gt_text: str | None = None
) -> np.ndarray:
    """Draw the cascade on one strip."""
    return draw_attention(image, attention, gt_text=gt_text)
