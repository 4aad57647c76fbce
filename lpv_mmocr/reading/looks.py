"""Test-time augmentation: other views of words read with low confidence."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from mmocr.structures import TextRecogDataSample

import lpv_onnx

from ..datasets.transforms.word_look import LOOKS, WordLook
from ..models.best_look_tta import SURE, word_confidence


@dataclass(frozen=True)
class SeenWord:
    """Most confident reading of a word, and the view it came from.

    Attributes:
        sample: The reading.
        image: The view that was read, uint8 (H, W, 3).
        matrix: Map from the given image to that view, as returned by :meth:`WordLook.look`.
    """

    sample: TextRecogDataSample
    image: np.ndarray
    matrix: np.ndarray

    def boxes_in_given(self, boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Map boxes back to the given image.

        Args:
            boxes: Shape (n, 4), x1, y1, x2, y2 in pixels of ``image``.
            size: Height and width of the given image.

        Returns:
            The axis-aligned boxes around the midpoints of their sides in the given image, clipped
            to it, float32 (n, 4). Boxes around the corners would be larger and overlap.
        """
        x1, y1, x2, y2 = boxes.T
        x, y = (x1 + x2) / 2, (y1 + y2) / 2
        sides = np.array([(x1, y), (x2, y), (x, y1), (x, y2)]).transpose(2, 0, 1)
        sides = (sides - self.matrix[:, 2]) @ np.linalg.inv(self.matrix[:, :2]).T
        spans = np.concatenate([sides.min(axis=1), sides.max(axis=1)], axis=1)
        height, width = size
        return np.clip(spans, 0, (width, height, width, height)).astype(np.float32)


def read_with_tta(
    read: Callable[[list[np.ndarray]], Sequence[TextRecogDataSample]],
    images: Sequence[np.ndarray],
    *,
    looks: Sequence[WordLook] = LOOKS,
    sure: float = SURE,
) -> list[SeenWord]:
    """Read images, try other views where confidence is low, and keep the best readings.

    Args:
        read: Callback that reads one or more images (H, W, 3); it gets an empty list only if
            there are none.
        images: Images of words.
        looks: Views to try in this order; may be empty.
        sure: Confidence from which no further view is tried.

    Returns:
        The most confident reading of each image; on ties, that of the earlier view.
    """
    best = lpv_onnx.read_with_tta(
        lambda words: read([image for image, _ in words]),
        [(image, np.eye(2, 3)) for image in images],
        [functools.partial(_take, look) for look in looks],
        confidence=word_confidence,
        sure=sure,
    )
    return [SeenWord(sample, *word) for sample, word in best]


def _take(
    look: WordLook, word: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return a view of an image and the matrix that maps to it; None if it would not change."""
    given, _ = word
    return look.look(given) if look.applies(given) else None
