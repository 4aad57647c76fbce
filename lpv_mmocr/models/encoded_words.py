"""Labels of a batch in the form that the loss wants them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from mmocr.models.textrecog.module_losses import BaseTextRecogModuleLoss


class LabelEncoding(NamedTuple):
    """What the targets of a label depend on.

    Attributes:
        characters: Classes in their order.
        max_seq_len: Number of characters of the longest word.
        letter_case: "lower", "upper" or "unchanged".
    """

    characters: str
    max_seq_len: int
    letter_case: str

    @classmethod
    def of(cls, loss: BaseTextRecogModuleLoss) -> LabelEncoding:
        """That of a loss."""
        return cls("".join(loss.dictionary.dict), loss.max_seq_len, loss.letter_case)


# No Sequence: MMEngine would take it apart to move its parts to the device.
@dataclass(frozen=True, eq=False)
class EncodedWords:
    """Labels of N words that wait on the device, in place of N data samples.

    A data sample for every word costs the host more time than a GPU takes to train on it.

    Attributes:
        targets: Class indexes of shape (N, T), int64, padded as ``CPAModuleLoss`` pads them.
        numbers: Numbers of the pictures within their source, shape (N,), int64.
        encoding: How they were encoded; None where that is not known.
    """

    targets: torch.Tensor
    numbers: torch.Tensor
    encoding: LabelEncoding | None = None

    def __len__(self) -> int:
        """Number N of words."""
        return len(self.targets)

    def __iter__(self) -> Iterator[dict[str, str]]:
        """What an error message calls the words; asks the device for their numbers."""
        for number in self.numbers.tolist():
            yield dict(sample_key=f"picture {number}")
