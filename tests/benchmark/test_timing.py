"""Tests of the timing logic with a simulated clock."""

from __future__ import annotations

import itertools
from collections import Counter

from lpv_mmocr.benchmark.timing import (
    MAX_CALLS,
    WallClock,
    calls_for,
    measure_in_turns,
    speed_up,
    summarise,
)

import pytest


class FakeTime:
    """Simulated time, which advances by given durations of calls."""

    def __init__(self) -> None:
        self.now = 0.0
        self.log: list[str] = []

    def call(self, name: str, *seconds: float):
        durations = iter(seconds)
        last = [seconds[-1]]

        def run() -> None:
            self.log.append(name)
            self.now += next(durations, last[0])

        return run

    def clock(self) -> WallClock:
        return WallClock(now=lambda: self.now)


def test_rounds_measure_all_in_changing_order():
    fake = FakeTime()
    runs = {name: fake.call(name, 1.0) for name in "abcd"}
    rounds = []
    measure_in_turns(runs, rounds=11, clock=fake.clock(), min_seconds=0.0, on_round=rounds.append)
    calls, *orders = ("".join(fake.log[start : start + 4]) for start in range(0, 48, 4))
    assert calls == "abcd"  # determines the number of calls per round
    assert {"".join(sorted(order)) for order in orders} == {"abcd"}
    followers = Counter(pair for order in orders for pair in itertools.pairwise(order))
    assert max(followers.values()) < len(orders) / 2 < len(followers)
    assert rounds == [*range(1, 12)]


def test_times_belong_to_their_rounds():
    fake = FakeTime()
    runs = {"slow": fake.call("slow", 9.0, 2.0, 4.0), "fast": fake.call("fast", 9.0, 1.0, 2.0)}
    times = measure_in_turns(runs, rounds=2, clock=fake.clock(), min_seconds=0.0)
    assert times == {"slow": [2.0, 4.0], "fast": [1.0, 2.0]}


def test_short_calls_are_repeated_and_averaged():
    fake = FakeTime()
    times = measure_in_turns(
        {"short": fake.call("short", 0.3)}, rounds=1, clock=fake.clock(), min_seconds=1.0
    )
    assert len(fake.log) == 1 + 4
    assert times["short"] == [pytest.approx(0.3)]


def test_number_of_calls_is_limited():
    fake = FakeTime()
    assert calls_for(fake.clock(), fake.call("nothing", 0.0), 1.0) == MAX_CALLS
    assert calls_for(fake.clock(), fake.call("long", 5.0), 1.0) == 1


def test_clock_waits_for_the_device():
    fake = FakeTime()
    clock = WallClock(fake.call("wait", 0.0, 0.5), now=lambda: fake.now)
    assert clock.seconds(fake.call("run", 2.0), 1) == 2.5
    assert fake.log == ["wait", "run", "wait"]


def test_median_and_quartiles():
    summary = summarise([5.0, 1.0, 2.0, 100.0, 3.0])
    assert (summary.low, summary.median, summary.high) == (2.0, 3.0, 5.0)
    assert summary.spread == 3.0


def test_speed_up_compares_within_rounds():
    # The machine was three times slower in the second round.
    assert speed_up([2.0, 6.0, 2.0], [1.0, 3.0, 1.0]).median == 2.0
    # The ratio of the medians would be 1.
    assert speed_up([1.0, 3.0, 1.0], [1.0, 1.5, 0.5]).median == 2.0
