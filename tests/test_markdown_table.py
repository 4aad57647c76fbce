"""Tests of Markdown tables."""

from __future__ import annotations

from lpv_mmocr.markdown_table import markdown_table

import pytest


def test_columns_are_aligned():
    rows = [("SVT", "647", ""), ("CUTE80", "8", "few")]
    assert markdown_table(("set", "n", "remarks"), rows, left=("set", "remarks")) == [
        "| set    |   n | remarks |",
        "| ------ | --: | ------- |",
        "| SVT    | 647 |         |",
        "| CUTE80 |   8 | few     |",
    ]


def test_bar_in_a_cell_is_escaped():
    *_, row = markdown_table(("a", "b"), [("x|y", "1")], left=("a",))
    assert row == r"| x\|y | 1 |"


def test_every_row_needs_all_cells():
    with pytest.raises(ValueError, match="argument"):
        markdown_table(("a", "b"), [("1",)], left=())
