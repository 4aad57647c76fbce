"""The table of sets and means."""

from __future__ import annotations

from lpv_mmocr.evaluation import BenchmarkReport, SetScore, TextProtocol
from lpv_mmocr.reporting.score_table import benchmark_rows, set_row

import pytest

SIX = {"IIIT5k": 3000, "SVT": 647, "IC13_857": 857, "IC15_1811": 1811, "SVTP": 645, "CUTE80": 288}


def score(count: int, correct: int, **kwargs) -> SetScore:
    return SetScore(count=count, correct=correct, similarity=correct, **kwargs)


def rows_of(scores: dict[str, SetScore], absent: dict[str, str] | None = None):
    report = BenchmarkReport(protocol=TextProtocol(), scores=scores, absent=absent or {})
    return {row.name: row for row in benchmark_rows(report)}


def test_six_sets_and_their_means():
    rows = rows_of({name: score(count, count // 2) for name, count in SIX.items()})
    assert rows["SVT"].count == 647
    assert rows["SVT"].accuracy == 323 / 647
    accuracies = [count // 2 / count for count in SIX.values()]
    assert rows["Mean of six"].accuracy == pytest.approx(sum(accuracies) / 6)
    weighted = sum(count // 2 for count in SIX.values()) / sum(SIX.values())
    assert rows["Weighted mean of six"].accuracy == pytest.approx(weighted)
    assert rows["Mean of eight"].remarks == "not computed: no IC13_1015, IC15_2077"
    assert rows["Mean of eight"].accuracy is None


def test_absent_and_odd_sets_say_so():
    rows = rows_of(
        {"SVT": score(5, 3, expected_count=647, bad_samples=("a", "b"), empty_labels=1)},
        absent={"SVTP": "no folder"},
    )
    assert rows["SVTP"].remarks == "ABSENT: no folder"
    assert rows["SVTP"].count is None
    assert rows["SVT"].remarks == (
        "COUNT: should be 647; 2 bad, counted as wrong; 1 with an empty label"
    )
    assert rows["Mean of the 1 present"].remarks == "SVT"


def test_wrong_count_of_a_member_is_named_at_the_mean():
    scores = {name: score(count, 1) for name, count in SIX.items()}
    scores["SVT"] = score(600, 1, expected_count=647)
    assert rows_of(scores)["Mean of six"].remarks == "COUNT: see SVT"


def test_empty_set():
    assert set_row("own", score(0, 0)).remarks == "EMPTY: there are no words in it"
