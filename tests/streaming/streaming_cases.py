"""Dataset and chunks for tests of streaming."""

from __future__ import annotations

from lpv_mmocr.streaming.chunk import Chunk

import numpy as np
from lpv_cases import DICTIONARY
from mmocr.registry import DATASETS
from torch.utils.data import Dataset

LOSS = dict(type="CPAModuleLoss", dictionary=DICTIONARY)
IMAGE = (8, 20)
PATIENCE = 300
"""Time limit in seconds: processes at idle priority may have to wait long."""


@DATASETS.register_module()
class NumberWords(Dataset):
    """Dataset whose word n has the text n and an image whose first pixel is n modulo 256."""

    def __init__(self, length: int = 1_000_000, fail_from: int | None = None) -> None:
        self.length, self.fail_from = length, fail_from

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, number: int) -> dict:
        if self.fail_from is not None and number >= self.fail_from:
            raise OSError("no more images")
        image = np.zeros((*IMAGE, 3), np.uint8)
        image[0, 0] = number % 256
        image[-1, -1] = np.random.randint(256)  # noqa: NPY002 - what MMOCR's transforms draw from
        return dict(img=image, instances=[dict(text=str(number))])


def numbered_chunk(first: int, count: int) -> Chunk:
    """Return a chunk whose pixels, targets and numbers all encode the number of the image."""
    numbers = np.arange(first, first + count)
    images = np.broadcast_to(numbers[:, None, None, None] % 256, (count, 3, *IMAGE))
    targets = np.broadcast_to(numbers[:, None], (count, 27))
    return Chunk(images.astype(np.uint8), targets.astype(np.int16), numbers)
