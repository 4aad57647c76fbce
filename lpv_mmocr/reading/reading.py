"""Result of reading an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from mmengine.structures import LabelData


@dataclass(frozen=True)
class Reading:
    """Result of reading an image of a word.

    Attributes:
        source: Path of the file; for anything else, its position among the images, from 0.
        text: The text; None if the image could not be read.
        confidence: Probability of the whole word: the product of the probabilities of all its
            characters and of its end.
        scores: Probability of each character of the text.
        boxes: One box per character, shape (n, 4): left, top, right, bottom in pixels of the
            image; None if not asked for.
        attention: Attention maps and texts of all stages, as the decoder's ``pred_attention``;
            None if not asked for. :func:`lpv_mmocr.visualization.draw_attention` draws it.
        image: Image that the attention refers to, BGR uint8 (H, W, 3): the given image or
            the view with the most confident reading, with black padding if the model was given
            any; None without attention.
        error: Why the image could not be read; None if it could.
    """

    source: str | int
    text: str | None = None
    confidence: float = 0.0
    scores: tuple[float, ...] = ()
    boxes: np.ndarray | None = None
    attention: LabelData | None = None
    image: np.ndarray | None = None
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON, without attention and image.

        Returns:
            ``path``, ``text``, ``confidence``, ``scores``, ``error`` and, if there are any,
            ``boxes``. Probabilities have six significant digits, boxes tenths of a pixel.
        """
        row: dict[str, Any] = {
            "path": self.source,
            "text": self.text,
            "confidence": _short(self.confidence),
            "scores": [_short(score) for score in self.scores],
        }
        if self.boxes is not None:
            row["boxes"] = [[round(float(edge), 1) for edge in box] for box in self.boxes]
        row["error"] = self.error
        return row


def _short(probability: float) -> float:
    # Significant digits: for 25 uncertain characters, all decimal places would be 0.
    return float(f"{probability:.6g}")
