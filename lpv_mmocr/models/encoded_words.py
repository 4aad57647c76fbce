"""Labels of a batch in the form that the loss wants them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch


# No Sequence: MMEngine would take it apart to move its parts to the device.
@dataclass(frozen=True, eq=False)
class EncodedWords:
    """Labels of N words that wait on the device, in place of N data samples.

    A data sample for every word costs the host more time than a GPU takes to train on it.

    Attributes:
        targets: Class indexes of shape (N, T), int64, padded as ``CPAModuleLoss`` pads them.
        numbers: Numbers of the pictures within their source, shape (N,), int64.
    """

    targets: torch.Tensor
    numbers: torch.Tensor

    def __len__(self) -> int:
        """Number N of words."""
        return len(self.targets)

    def __iter__(self) -> Iterator[dict[str, str]]:
        """What an error message calls the words; asks the device for their numbers."""
        for number in self.numbers.tolist():
            yield dict(sample_key=f"picture {number}")
