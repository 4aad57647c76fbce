"""Tests of ``tools/analysis_tools/measure_boxes.py``."""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
import pytest


@pytest.fixture
def tool(load_tool):
    return load_tool("analysis_tools/measure_boxes.py")


def test_scores_of_known_boxes(tool):
    truth = np.array([[0, 0, 10, 10], [10, 0, 20, 10], [20, 0, 30, 10]], np.float32)
    boxes = np.array([[0, 0, 10, 10], [15, 0, 25, 10], [40, 0, 50, 10]], np.float32)
    scores = tool.score(boxes, truth)
    assert scores.iou == pytest.approx([1, 1 / 3, 0])
    assert scores.hit.tolist() == [True, True, False]


def test_table_is_complete_for_correct_readings(tool, toy_run, capsys, monkeypatch):
    """The model is barely trained, so its readings are replaced by the labels."""
    render, words = tool.render, []

    class RightReader(tool.WordReader):
        def iterate(self, images):
            for word, reading in zip(words, super().iterate(images), strict=True):
                boxes = np.resize(reading.boxes, (len(word.label), 4))
                yield replace(reading, text=word.label.swapcase(), boxes=boxes)  # case is ignored

    monkeypatch.setattr(tool, "render", lambda args: words.extend(render(args)) or words)
    monkeypatch.setattr(tool, "WordReader", RightReader)
    options = ["--count", "12", "--charset", "lower", "--max-length", "3", "--exact"]
    assert tool.main([str(toy_run / "iter_4.pth"), *options, "--device", "cpu"]) == 0
    output = capsys.readouterr().out
    assert "12 of 12 words were read without errors" in output
    assert "mean IoU" in output


def test_words_of_any_length_are_in_the_table(tool, capsys):
    found = {n: [tool.score(np.ones((n, 4)), np.ones((n, 4)))] for n in (5, 30)}
    tool.report(found, argparse.Namespace(exact=False, count=2))
    rows = [line.split("│")[1:3] for line in capsys.readouterr().out.splitlines()]
    rows = [[cell.strip() for cell in row] for row in rows]
    assert ["26 and more", "1"] in rows and ["all", "2"] in rows


def test_bad_input_is_rejected(tool, toy_run, capsys):
    for arguments, message in (
        (["gone.pth"], "error: there is no checkpoint gone.pth"),
        ([str(toy_run / "iter_4.pth"), "--count", "0"], "error: --count must be at least 1, got 0"),
    ):
        with pytest.raises(SystemExit, match="2"):
            tool.main(arguments)
        assert message in capsys.readouterr().err
