"""Timing in turns, so that ratios are reliable even on a shared machine."""

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
    """Measures how long a function takes."""

    def seconds(self, run: Callable[[], object], calls: int) -> float:
        """Call ``run`` ``calls`` times and return the total time in seconds."""


class WallClock:
    """Wall-clock time until all work started on the device has finished.

    Args:
        synchronise: Callback that waits for the device; None if calls end when their work does.
        now: Callback that returns the current time in seconds.
    """

    def __init__(
        self,
        synchronise: Callable[[], None] | None = None,
        now: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.synchronise = synchronise or (lambda: None)
        self.now = now

    def seconds(self, run: Callable[[], object], calls: int) -> float:
        """Call ``run`` ``calls`` times and return the total time in seconds."""
        self.synchronise()
        began = self.now()
        for _ in range(calls):
            run()
        self.synchronise()
        return self.now() - began


class CudaClock:
    """GPU time between two events, with all calls queued between them."""

    def seconds(self, run: Callable[[], object], calls: int) -> float:
        """Call ``run`` ``calls`` times and return the total time in seconds."""
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
        device: Device that the work runs on.
        on_host: Whether work on the host counts as well, as in end-to-end inference.
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
    """Return median and quartiles, with interpolation between values.

    Args:
        values: One value for each round.
    """
    low, median, high = np.percentile(values, [25, 50, 75])
    return Summary(float(median), float(low), float(high))


def speed_up(baseline: Sequence[float], times: Sequence[float]) -> Summary:
    """Return the speed-up over the baseline, compared round by round.

    Anything that slows down an entire round affects both sides of its ratio.

    Args:
        baseline: Seconds of the baseline in each round.
        times: Seconds of the compared function in the same rounds.
    """
    return summarise([base / own for base, own in zip(baseline, times, strict=True)])


def calls_for(clock: Clock, run: Callable[[], object], min_seconds: float) -> int:
    """Return how many calls take ``min_seconds`` together, from 1 to :data:`MAX_CALLS`.

    Args:
        clock: Clock to measure with.
        run: Function to call.
        min_seconds: Total time of the calls to aim for.
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
    """Measure every function once in each round.

    Each round has its own order, so that no function always runs after the same other one; the
    orders are the same in every run. The functions must have been warmed up.

    Args:
        runs: Functions to call, by name.
        rounds: Number of rounds.
        clock: Clock to measure with.
        min_seconds: Time to fill with repeated calls in each round, with at most
            :data:`MAX_CALLS` calls; their number is set beforehand from the time of one call.
        on_round: Callback that receives the number of each finished round, from 1.

    Returns:
        Seconds per call in each round, by name.
    """
    calls = {name: calls_for(clock, run, min_seconds) for name, run in runs.items()}
    times: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds):
        for name in random.Random(number).sample(list(runs), len(runs)):
            times[name].append(clock.seconds(runs[name], calls[name]) / calls[name])
        on_round(number + 1)
    return times
