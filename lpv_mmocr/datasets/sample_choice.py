"""Options that select samples of a dataset: their checks, and advice where they select none."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral

import numpy as np


def checked_hold_out(hold_out: object) -> int:
    """Check and return the number of samples to hold out.

    Raises:
        ValueError: If it is not an integer, or negative.
    """
    if not _is_whole(hold_out):
        raise ValueError(f"hold_out must be a number of samples, such as 200, not {hold_out!r}")
    if hold_out < 0:
        raise ValueError(f"hold_out must not be negative, but is {hold_out}")
    return int(hold_out)


def checked_indices(indices: object) -> int | Sequence[int] | None:
    """Return the indices, provided that NumPy would not round or misread them.

    Raises:
        ValueError: If they are neither an integer nor a list of integers.
    """
    if indices is None:
        return None
    if _is_whole(indices):
        return int(indices)
    given = np.asarray(indices)
    if given.ndim != 1 or (len(given) and given.dtype.kind not in "iu"):
        raise ValueError(
            "indices must be a number of samples, such as 200 or -200, or a list of positions, "
            f"not {indices!r}"
        )
    return indices


def hold_out_advice(count: int) -> str:
    """Return the options that hold out a tenth of the samples, as the end of an error message.

    Args:
        count: Number of samples that there are.
    """
    fewer = max(1, count // 10)
    return (
        f"to hold out only {fewer} for validation: --cfg-options "
        f"train_dataloader.dataset.hold_out={fewer} val_dataloader.dataset.indices=-{fewer} "
        "(train_dataloader.dataset.datasets.0.hold_out where there are several training sets, or "
        "wherever else the config has it; test_dataloader.dataset.indices where tests use the "
        "same words)"
    )


def _is_whole(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)
