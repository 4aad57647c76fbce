"""Drawing from weighted alternatives, fast."""

from __future__ import annotations

import numpy as np


def draw_index(rng: np.random.Generator, cumulative: np.ndarray) -> int:
    """Draws an index with given odds.

    ``Generator.choice`` checks and sums the odds at every call, which takes longer than drawing a
    letter.

    Args:
        rng: Source of randomness.
        cumulative: Running sum of the odds, (n,).

    Returns:
        0 to n - 1.
    """
    return int(np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right"))
