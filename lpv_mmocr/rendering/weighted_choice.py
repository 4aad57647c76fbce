"""Fast random choice from weighted alternatives."""

from __future__ import annotations

import numpy as np


def choose_index(rng: np.random.Generator, cumulative: np.ndarray) -> int:
    """Choose an index according to given weights.

    ``Generator.choice`` checks and sums the weights at every call, which takes longer than
    drawing a letter on an image.

    Args:
        rng: Source of randomness.
        cumulative: Cumulative sum of the weights, (n,).

    Returns:
        Index from 0 to n - 1.
    """
    return int(np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right"))
