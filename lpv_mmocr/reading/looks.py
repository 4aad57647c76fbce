"""Looking again at words that were read unsurely."""

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
    """A word as it was read best.

    Attributes:
        sample: What was read.
        picture: The picture that was read, uint8 (H, W, 3).
        matrix: Leads from the given picture to that one, as that of :meth:`WordLook.look`.
    """

    sample: TextRecogDataSample
    picture: np.ndarray
    matrix: np.ndarray

    def boxes_in_given(self, boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Bring boxes back to the given picture.

        Args:
            boxes: Shape (n, 4), x1, y1, x2, y2 in pixels of ``picture``.
            size: Height and width of the given picture.

        Returns:
            The upright boxes around the middles of their sides in the given picture, inside of it,
            float32 (n, 4). Boxes around the corners would be larger and overlap.
        """
        x1, y1, x2, y2 = boxes.T
        x, y = (x1 + x2) / 2, (y1 + y2) / 2
        sides = np.array([(x1, y), (x2, y), (x, y1), (x, y2)]).transpose(2, 0, 1)
        sides = (sides - self.matrix[:, 2]) @ np.linalg.inv(self.matrix[:, :2]).T
        spans = np.concatenate([sides.min(axis=1), sides.max(axis=1)], axis=1)
        height, width = size
        return np.clip(spans, 0, (width, height, width, height)).astype(np.float32)


def read_with_looks(
    read: Callable[[list[np.ndarray]], Sequence[TextRecogDataSample]],
    pictures: Sequence[np.ndarray],
    *,
    looks: Sequence[WordLook] = LOOKS,
    sure: float = SURE,
) -> list[SeenWord]:
    """Read pictures, again and changed where the reading is unsure, and keep what is surest.

    Args:
        read: Reads one picture (H, W, 3) or more; it is given an empty list only if there are none.
        pictures: Pictures of words.
        looks: What is tried one after the other; nothing is tried if there are none.
        sure: Confidence from which no further look is taken.

    Returns:
        What was read best in each picture; the earlier look where two are alike.
    """
    best = lpv_onnx.read_with_looks(
        lambda words: read([picture for picture, _ in words]),
        [(picture, np.eye(2, 3)) for picture in pictures],
        [functools.partial(_take, look) for look in looks],
        confidence=word_confidence,
        sure=sure,
    )
    return [SeenWord(sample, *word) for sample, word in best]


def _take(
    look: WordLook, word: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray] | None:
    """A picture changed, and the matrix that leads there; None if it is to be left as it is."""
    given, _ = word
    return look.look(given) if look.applies(given) else None
