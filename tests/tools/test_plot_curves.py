"""Tests of ``plot_curves.py``."""

from __future__ import annotations

import io
import json
import warnings
from html import unescape
from pathlib import Path

import cv2
import matplotlib
import pytest


@pytest.fixture
def tool(load_tool):
    return load_tool("analysis_tools/plot_curves.py")


@pytest.fixture
def plot(tool_in_process):
    return tool_in_process("analysis_tools/plot_curves.py")


def write_log(run: Path, start: str, *records: dict, end: str = "") -> Path:
    file = run / start / "vis_data" / "scalars.json"
    file.parent.mkdir(parents=True)
    file.write_text("".join(json.dumps(record) + "\n" for record in records) + end)
    return file


def training(iteration: int, loss: float) -> dict:
    return dict(loss=loss, lr=0.1, iter=iteration, step=iteration)


def losses(points) -> list[tuple[int, float]]:
    return [(p.iteration, p.values["loss"]) for p in points if "loss" in p.values]


def test_later_start_replaces_the_iterations_it_repeats(tool, tmp_path):
    accuracies = [{"recog/accuracy": value, "step": 0} for value in (0.1, 0.2, 0.3)]
    # The first two starts are in one file, as after a change of machines.
    early = [training(5, 4.0), training(10, 3.0), accuracies[0], training(15, 9.0), accuracies[1]]
    write_log(tmp_path, "0_carried", *early, training(12, 2.5))
    write_log(tmp_path, "20260102_000000", training(20, 1.0), accuracies[2], end='{"lo')
    points = tool.read_run(tmp_path)
    assert losses(points) == [(5, 4.0), (10, 3.0), (12, 2.5), (20, 1.0)]
    validations = [
        (p.iteration, p.values["recog/accuracy"]) for p in points if "loss" not in p.values
    ]
    assert validations == [(10, 0.1), (20, 0.3)]


@pytest.mark.parametrize(
    "line",
    [
        b"{half",
        b"[1]",
        b'{"loss": 1}',
        b'{"loss": 1, {"loss": 2}',
        b'{"step": 7, "iter": 7, "loss": "\xff"}',
        b'{"step": 7, "iter": 7, "loss": null}',
    ],
)
def test_damaged_lines_are_left_out_and_named(tool, tmp_path, capsys, line):
    """A temporarily full disk can leave a partial line with the next line appended to it."""
    file = write_log(tmp_path, "1", training(5, 1.0))
    with file.open("ab") as log:
        log.write(line + b"\n")
    with file.open("a") as log:
        log.write(json.dumps(training(10, 0.5)) + "\n")
    assert losses(tool.read_run(tmp_path)) == [(5, 1.0), (10, 0.5)]
    assert capsys.readouterr().err == f"{file}: damaged lines are left out: 2\n"


def test_validations_by_epoch_are_placed_by_iteration(tool, tmp_path):
    accuracies = [{"recog/accuracy": value, "step": epoch} for epoch, value in ((1, 0.1), (2, 0.2))]
    records = [training(50, 3.0), accuracies[0], training(100, 2.0), accuracies[1]]
    write_log(tmp_path, "1", *records)
    assert [point.iteration for point in tool.read_run(tmp_path)] == [50, 50, 100, 100]


def test_validation_keeps_the_iteration_it_was_logged_with(tool, tmp_path):
    write_log(tmp_path, "1", training(5, 1.0), {"recog/accuracy": 0.5, "step": 7})
    assert [point.iteration for point in tool.read_run(tmp_path)] == [5, 7]


def test_curves_of_a_training_run_are_drawn(plot, tool, toy_run, tmp_path, capsys):
    assert plot(toy_run, "--out", tmp_path / "new" / "curves.png") == 0
    assert "up to iteration 4" in capsys.readouterr().out
    assert cv2.imread(str(tmp_path / "new" / "curves.png")).std() > 5
    panels = tool.draw({"one": tool.read_run(toy_run)}).axes
    assert [axes.get_ylabel() for axes in panels] == [label for _, label, _ in tool.PANELS]
    assert [len(axes.lines[0].get_xdata()) for axes in panels] == [4, 4, 1]


def test_runs_with_the_same_name_are_told_apart(tool, plot, tmp_path, capsys):
    for name in ("a/run", "b/run"):
        write_log(tmp_path / name, "1", training(5, 1.0))
    assert plot("a/run", "b/run", "--out", "curves.svg") == 0
    said = capsys.readouterr().out
    assert "a/run: 1 values" in said and "b/run: 1 values" in said


def test_run_with_an_underscore_is_in_the_legend(tool, tmp_path):
    write_log(tmp_path, "1", training(5, 1.0))
    legend = tool.draw({"_run": tool.read_run(tmp_path)}).axes[0].get_legend()
    assert [text.get_text().strip() for text in legend.get_texts()] == ["_run"]


@pytest.mark.parametrize("name", ["a$b$", r"x$\frac$y"])
def test_name_is_not_a_formula(tool, tmp_path, name):
    write_log(tmp_path, "1", training(5, 1.0))
    figure = tool.draw({name: tool.read_run(tmp_path)})
    drawn = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        figure.savefig(drawn, format="svg")
    assert name in unescape(drawn.getvalue())


def test_legend_is_in_the_first_panel_with_curves(tool):
    points = [tool.Point(10, {"recog/accuracy": 0.5})]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        legends = [axes.get_legend() for axes in tool.draw({"run": points}).axes]
    assert legends[:2] == [None, None] and legends[2] is not None
    assert not [each for each in caught if "legend" in str(each.message)]


class TestBadInput:
    @pytest.fixture
    def error_of(self, plot, capsys):
        def run(*arguments: object) -> str:
            assert plot(*arguments) == 2
            return capsys.readouterr().err.strip()

        return run

    def test_folder_without_curves(self, error_of, tmp_path):
        assert "gone has no curves (*/vis_data/scalars.json)" in error_of("gone", "--out", "a.png")

    def test_unknown_file_ending(self, error_of, toy_run):
        error = error_of(toy_run, "--out", "a.txt")
        assert error == "error: --out a.txt: the file's name must end in .png, .svg, .pdf, .jpg"

    def test_log_with_only_damaged_lines(self, error_of, tmp_path):
        write_log(tmp_path / "run", "1", end="{half\n[1]\n")
        assert "run has no curves" in error_of("run", "--out", "a.png")
