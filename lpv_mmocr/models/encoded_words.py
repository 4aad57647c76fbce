"""Labels of a batch, encoded for the loss."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from mmocr.models.textrecog.module_losses import BaseTextRecogModuleLoss


class LabelEncoding(NamedTuple):
    """Settings that determine the targets of a label.

    Attributes:
        characters: Classes in order.
        max_seq_len: Maximum number of characters of a word.
        letter_case: "lower", "upper" or "unchanged".
    """

    characters: str
    max_seq_len: int
    letter_case: str

    @classmethod
    def of(cls, loss: BaseTextRecogModuleLoss) -> LabelEncoding:
        """Return the encoding that a loss uses."""
        return cls("".join(loss.dictionary.dict), loss.max_seq_len, loss.letter_case)


# Not a Sequence: MMEngine would unpack it to move its items to the device.
@dataclass(frozen=True, eq=False)
class EncodedWords:
    """Labels of N words on the device, instead of N data samples.

    Creating a data sample for a word takes the host longer than a GPU takes to train on it.

    Attributes:
        targets: Class indexes of shape (N, T), int64, padded as ``CPAModuleLoss`` pads them.
        numbers: Indexes of the images within their source, shape (N,), int64.
        encoding: Settings the labels were encoded with; None if unknown.
    """

    targets: torch.Tensor
    numbers: torch.Tensor
    encoding: LabelEncoding | None = None

    def __len__(self) -> int:
        """Return the number N of words."""
        return len(self.targets)

    def __iter__(self) -> Iterator[dict[str, str]]:
        """Yield a ``sample_key`` per word for error messages; copies ``numbers`` to the host."""
        for number in self.numbers.tolist():
            yield dict(sample_key=f"image {number}")
