"""Tests of ``quickstart.py``, the Python part of ``quickstart.sh``."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools" / "quickstart.py"


@pytest.fixture
def quickstart(load_tool):
    return load_tool("quickstart.py")


class TestToyTrainingHook:
    @pytest.fixture
    def clock(self, quickstart, monkeypatch):
        clock = SimpleNamespace(now=0.0)
        monkeypatch.setattr(quickstart, "time", SimpleNamespace(monotonic=lambda: clock.now))
        return clock

    @pytest.fixture
    def runner(self):
        return SimpleNamespace(
            iter=0,
            optim_wrapper=SimpleNamespace(param_groups=[dict(lr=None)]),
            train_loop=SimpleNamespace(stop_training=False),
        )

    @pytest.fixture
    def hook(self, quickstart, clock, runner):
        hook = quickstart.ToyTrainingHook(max_iters=100, time_limit=50.0, peak_lr=1.0)
        hook.before_train(runner)
        return hook

    @pytest.mark.parametrize(
        ("iteration", "seconds", "rate"),
        [
            (0, 0, 0.01),
            (1, 0, 0.2),  # warming up
            (50, 0, 1.0),
            (90, 0, 0.1 / 0.35),  # cooling down, by iterations
            (9, 45, 0.1 / 0.35),  # the same on a slow machine, by the clock
            (99, 60, 0.01),
        ],
    )
    def test_learning_rate_follows_iterations_and_clock(
        self, hook, clock, runner, iteration, seconds, rate
    ):
        runner.iter, clock.now = iteration, seconds
        hook.before_train_iter(runner, 0)
        assert runner.optim_wrapper.param_groups[0]["lr"] == pytest.approx(rate)

    @pytest.mark.parametrize(
        ("iteration", "seconds", "rate"),
        [
            (1, 10.1, 0.2),  # by iterations: only 0.1 of the remaining 40 s have passed
            (9, 46, 0.1 / 0.35),  # by the clock
            (9, 50, 0.01),
        ],
    )
    def test_learning_rate_does_not_depend_on_the_time_of_the_first_iteration(
        self, hook, clock, runner, iteration, seconds, rate
    ):
        clock.now = 1
        hook.before_train_iter(runner, 0)
        assert runner.optim_wrapper.param_groups[0]["lr"] == 0.01
        clock.now = 10
        hook.after_train_iter(runner, 0, outputs=dict(loss=1.0))
        runner.iter, clock.now = iteration, seconds
        hook.before_train_iter(runner, 0)
        assert runner.optim_wrapper.param_groups[0]["lr"] == pytest.approx(rate)

    def test_stops_when_the_time_is_up(self, hook, clock, runner):
        clock.now = 49.9
        hook.after_train_iter(runner, 0, outputs=dict(loss=1.0))
        assert not runner.train_loop.stop_training
        clock.now = 50.0
        hook.after_train_iter(runner, 0, outputs=dict(loss=1.0))
        assert runner.train_loop.stop_training

    @pytest.mark.parametrize(
        ("iteration", "seconds", "left"),
        [(50, 10, " 10 s left"), (50, 40, " 10 s left"), (20, 5, " 20 s left")],
    )
    def test_progress_line_shows_results_and_time_left(
        self, quickstart, hook, clock, runner, capsys, iteration, seconds, left
    ):
        for loss in (1.0, 2.0):
            hook.after_train_iter(runner, 0, outputs=dict(loss=loss))
        runner.iter, clock.now = iteration, seconds
        hook.after_val_epoch(runner, {quickstart.ACCURACY: 0.5})
        line = capsys.readouterr().out
        assert f"iteration {iteration:4d}/100   loss  1.50   accuracy  50%" in line
        assert line.endswith(left + "\n")


class TestStamp:
    def test_stamp_needs_the_same_config_and_a_complete_run(self, quickstart, tmp_path):
        stamp, checkpoint = tmp_path / "training.json", tmp_path / "toy.pth"
        assert quickstart.trained_already(stamp, checkpoint, "a") is None
        stamp.write_text(json.dumps(dict(fingerprint="a", seconds=1)))
        assert quickstart.trained_already(stamp, checkpoint, "a") is None
        checkpoint.touch()
        assert quickstart.trained_already(stamp, checkpoint, "a")["seconds"] == 1
        assert quickstart.trained_already(stamp, checkpoint, "b") is None
        stamp.write_text("")  # left by an interrupted run
        assert quickstart.trained_already(stamp, checkpoint, "a") is None


@pytest.mark.slow
def test_a_toy_model_learns_to_read(run_tool, tmp_path):
    out = tmp_path / "out"
    # Generous, because other tests may run at the same time.
    first = run_tool(sys.executable, TOOL, "--out", out, "--minutes", 8)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "of the words are read correctly" in first.stdout
    new = re.search(r"(\d+\.\d)% of the (\d+) whose number is on no", first.stdout)
    assert float(new[1]) >= 60 and int(new[2]) >= 100
    examples, _, rest = first.stdout.partition("[2/5]")
    assert [line.split()[0] for line in examples.splitlines() if "confidence" in line] == [
        "2026.jpg",
        *(f"{word}.jpg" for word in ("coffee", "harbour", "library", "station", "welcome")),
    ]
    assert "wrong" not in examples
    assert rest.count("confidence") == 8
    assert "not show: how well LPV reads" in first.stdout
    height, width, _ = cv2.imread(str(out / "result.png")).shape
    assert width > height > 500
    assert not list(out.rglob("*.partial*"))

    trained = (out / "lpv-toy_digits.pth").stat().st_mtime_ns
    second = run_tool(sys.executable, TOOL, "--out", out)
    assert second.returncode == 0, second.stdout + second.stderr
    assert "train: 6000 words (unchanged)" in second.stdout
    assert "Training: done before" in second.stdout
    assert (out / "lpv-toy_digits.pth").stat().st_mtime_ns == trained
