"""Timing several things in turns, so that their ratios hold on a machine that others use too."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

MAX_CALLS = 1000


class Clock(Protocol):
    """Says how long a function takes."""

    def seconds(self, run: Callable[[], object], calls: int) -> float:
        """Call ``run`` so many times and return the seconds that all of them took."""


class WallClock:
    """Time on the clock, until everything that was started on the device has ended.

    Args:
        synchronise: Waits for the device; None where calls end when their work does.
        now: Current time in seconds.
    """

    def __init__(
        self,
        synchronise: Callable[[], None] | None = None,
        now: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.synchronise = synchronise or (lambda: None)
        self.now = now

    def seconds(self, run: Callable[[], object], calls: int) -> float:
        """Call ``run`` so many times and return the seconds that all of them took."""
        self.synchronise()
        began = self.now()
        for _ in range(calls):
            run()
        self.synchronise()
        return self.now() - began


class CudaClock:
    """Time of the GPU between two events, with all calls queued between them."""

    def seconds(self, run: Callable[[], object], calls: int) -> float:
        """Call ``run`` so many times and return the seconds that all of them took."""
        began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        began.record()
        for _ in range(calls):
            run()
        ended.record()
        torch.cuda.synchronize()
        return began.elapsed_time(ended) / 1000


def clock_for(device: torch.device, *, on_host: bool = False) -> Clock:
    """Return the clock for a device.

    Args:
        device: Where the work runs.
        on_host: Whether work on the host counts as well, as in a whole inference.
    """
    if device.type != "cuda":
        return WallClock()
    return WallClock(torch.cuda.synchronize) if on_host else CudaClock()


@dataclass(frozen=True)
class Summary:
    """Median and quartiles of a sample.

    Attributes:
        median: Second quartile.
        low: First quartile.
        high: Third quartile.
    """

    median: float
    low: float
    high: float

    @property
    def spread(self) -> float:
        """Distance between the quartiles."""
        return self.high - self.low


def summarise(values: Sequence[float]) -> Summary:
    """Return median and quartiles; between two values they are interpolated.

    Args:
        values: One value for each round.
    """
    low, median, high = np.percentile(values, [25, 50, 75])
    return Summary(float(median), float(low), float(high))


def speed_up(baseline: Sequence[float], times: Sequence[float]) -> Summary:
    """How many times faster than the baseline; compared round by round.

    What slows a whole round down, slows both sides of its ratio down.

    Args:
        baseline: Seconds of the baseline in each round.
        times: Seconds of the other in the same rounds.
    """
    return summarise([base / own for base, own in zip(baseline, times, strict=True)])


def calls_for(clock: Clock, run: Callable[[], object], min_seconds: float) -> int:
    """How many calls take at least ``min_seconds`` together.

    Args:
        clock: What measures.
        run: What is called.
        min_seconds: Shortest time that is worth measuring.
    """
    once = clock.seconds(run, 1)
    return min(max(math.ceil(min_seconds / max(once, 1e-9)), 1), MAX_CALLS)


def measure_in_turns(
    runs: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    clock: Clock,
    min_seconds: float = 0.1,
    on_round: Callable[[int], None] = lambda number: None,
) -> dict[str, list[float]]:
    """Measure everything once in every round.

    Each round has an order of its own, so that nobody always runs in the wake of the same other;
    it is the same in every run. What is measured must have been warmed up.

    Args:
        runs: What to call, by name.
        rounds: Number of rounds.
        clock: What measures.
        min_seconds: Calls are repeated within a round until they take at least this long.
        on_round: Called with the number of each finished round, from 1.

    Returns:
        Seconds of one call, for each round, by name.
    """
    calls = {name: calls_for(clock, run, min_seconds) for name, run in runs.items()}
    times: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds):
        for name in random.Random(number).sample(list(runs), len(runs)):
            times[name].append(clock.seconds(runs[name], calls[name]) / calls[name])
        on_round(number + 1)
    return times
