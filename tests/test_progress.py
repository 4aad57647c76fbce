from __future__ import annotations

from types import SimpleNamespace

from lpv_mmocr import progress
from lpv_mmocr.progress import progress_bar

import pytest


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def test_lines_are_printed_at_intervals(clock, capsys):
    with progress_bar(10, "rendering") as advance:
        advance(2)
        assert capsys.readouterr().err == ""
        clock.now = 20.0
        advance(2)
        assert capsys.readouterr().err == "rendering: 4/10, 0/s\n"
        clock.now = 21.0
        advance(6)
    assert capsys.readouterr().err == "rendering: 10/10, 0/s\n"


def test_earlier_progress_does_not_count_for_the_speed(clock, capsys):
    with progress_bar(1000, "rendering") as advance:
        advance(900, earlier=True)
        clock.now = 20.0
        advance(100)
    assert capsys.readouterr().err == "rendering: 1000/1000, 5/s\n"


def test_terminal_bar_starts_at_earlier_progress(monkeypatch):
    from rich.progress import Progress

    bars = []
    start = Progress.start
    monkeypatch.setattr(Progress, "start", lambda self: (bars.append(self), start(self)))
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with progress_bar(1000, "rendering") as advance:
        advance(900, earlier=True)
        advance(50)
        (task,) = bars[0].tasks
        assert (task.completed, task.total) == (950, 1000)


def test_nothing_is_shown_when_disabled(capsys):
    with progress_bar(1, "rendering", enabled=False) as advance:
        advance(0, earlier=True)
        advance(1)
    assert capsys.readouterr().err == ""
