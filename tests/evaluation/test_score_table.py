"""Tests of the table of sets and means, shown in Markdown and on the page about a test."""

from __future__ import annotations

from lpv_mmocr.evaluation import (
    EXPECTED_COUNTS,
    SET_GROUPS,
    BenchmarkReport,
    SetScore,
    TextProtocol,
)
from lpv_mmocr.evaluation.score_table import Row, row_of_set

import pytest


def score(count: int, correct: int, **kwargs) -> SetScore:
    return SetScore(count=count, correct=correct, similarity=correct, **kwargs)


def test_rows_of_six_sets_an_absent_one_and_means():
    six = {name: EXPECTED_COUNTS[name] for name in SET_GROUPS["six"]}
    report = BenchmarkReport(
        protocol=TextProtocol(),
        scores={name: score(count, count // 2) for name, count in six.items()},
        absent={"IC15_2077": "no folder"},
    )
    rows = {row.name: row for row in report.rows}
    assert list(rows) == [
        *six,
        "IC15_2077",
        "mean of six",
        "weighted mean of six",
        "mean of eight",
    ]
    assert [name for name, row in rows.items() if row.is_mean] == list(rows)[-3:]
    assert (rows["SVT"].count, rows["SVT"].correct, rows["SVT"].accuracy) == (647, 323, 323 / 647)
    assert rows["IC15_2077"] == Row(name="IC15_2077", remarks="ABSENT: no folder")
    accuracies = [count // 2 / count for count in six.values()]
    assert rows["mean of six"].accuracy == pytest.approx(sum(accuracies) / 6)
    weighted = sum(count // 2 for count in six.values()) / sum(six.values())
    assert rows["weighted mean of six"].accuracy == pytest.approx(weighted)
    assert rows["mean of eight"].accuracy is None


def test_empty_set_has_a_remark():
    assert row_of_set("own", score(0, 0)).remarks == "EMPTY: there are no words in it"
