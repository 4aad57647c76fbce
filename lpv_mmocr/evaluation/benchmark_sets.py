"""Benchmark sets for which results are published."""

from __future__ import annotations

EXPECTED_COUNTS = {
    "IIIT5k": 3000,
    "SVT": 647,
    "IC13_857": 857,
    "IC15_1811": 1811,
    "SVTP": 645,
    "CUTE80": 288,
    "IC13_1015": 1015,
    "IC15_2077": 2077,
}
"""Number of words in each set, by set name in this package."""

SET_GROUPS = {
    "six": ("IIIT5k", "SVT", "IC13_857", "IC15_1811", "SVTP", "CUTE80"),
    "eight": tuple(EXPECTED_COUNTS),
}
"""Sets whose mean is published: most papers use six; the eight add the larger IC13 and IC15."""

PRESENT = "present"
"""Name of the mean of whichever sets are present."""
