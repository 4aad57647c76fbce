"""Looking again at words that were read unsurely."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lpv_mmocr.datasets.transforms import WordLook
from lpv_mmocr.models.best_look_tta import SURE, word_confidence

import numpy as np
from mmocr.structures import TextRecogDataSample

LOOKS = (
    WordLook(90, tall_only=True),
    WordLook(-90, tall_only=True),
    WordLook(-10),
    WordLook(slant=0.3),
    WordLook(margin=(-0.04, -0.06)),
    WordLook(slope=0.4),
    WordLook(10),
)
"""What is tried one after the other; the configs have the same for ``tools/test.py --tta``."""


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

    One look is taken at a time, and of each word no more than the best one is kept, so that memory
    does not grow with the number of looks.

    Args:
        read: Reads one picture (H, W, 3) or more; it is given an empty list only if there are none.
        pictures: Pictures of words.
        looks: What is tried one after the other; nothing is tried if there are none.
        sure: Confidence from which no further look is taken.

    Returns:
        What was read best in each picture; the earlier look where two are alike.
    """
    seen = [
        SeenWord(sample, picture, np.eye(2, 3))
        for sample, picture in zip(read(list(pictures)), pictures, strict=True)
    ]
    for look in looks:
        unsure = [
            number
            for number, word in enumerate(seen)
            if look.applies(pictures[number]) and word_confidence(word.sample) < sure
        ]
        if not unsure:
            continue
        changed = [look.look(pictures[number]) for number in unsure]
        samples = read([picture for picture, _ in changed])
        for number, sample, (picture, matrix) in zip(unsure, samples, changed, strict=True):
            if word_confidence(sample) > word_confidence(seen[number].sample):
                seen[number] = SeenWord(sample, picture, matrix)
    return seen
