from __future__ import annotations

import json
import math
from fractions import Fraction
from types import SimpleNamespace

from lpv_mmocr.evaluation import (
    EXPECTED_COUNTS,
    SET_GROUPS,
    BenchmarkMetric,
    BenchmarkReport,
    BenchmarkReportHook,
    SetScore,
    TextProtocol,
    WordScore,
    score_sets,
)

import pytest
from mmengine.config import Config
from mmocr.evaluation import WordMetric

# Correctly read words; none of the accuracies has a short decimal form.
CORRECT = dict(
    IIIT5k=2917,
    SVT=613,
    IC13_857=837,
    IC15_1811=1586,
    SVTP=587,
    CUTE80=274,
    IC13_1015=989,
    IC15_2077=1777,
)


def make_report(*absent: str, **changes: SetScore) -> BenchmarkReport:
    scores = {
        name: SetScore(
            count=EXPECTED_COUNTS[name],
            correct=correct,
            similarity=correct + 0.5,
            expected_count=EXPECTED_COUNTS[name],
        )
        for name, correct in CORRECT.items()
        if name not in absent
    }
    reasons = dict.fromkeys(absent, "there is no folder")
    return BenchmarkReport(protocol=TextProtocol(), scores=scores | changes, absent=reasons)


def row(report: BenchmarkReport, name: str) -> list[str]:
    rows = [line.split("|")[1:-1] for line in report.to_markdown().splitlines() if "|" in line]
    (found,) = [cells for cells in rows if cells[0].strip() == name]
    return [cell.strip() for cell in found]


def test_set_groups_have_the_expected_sizes():
    assert sum(EXPECTED_COUNTS[name] for name in SET_GROUPS["six"]) == 7248
    assert (EXPECTED_COUNTS["IC13_1015"], EXPECTED_COUNTS["IC15_2077"]) == (1015, 2077)
    assert set(SET_GROUPS["eight"]) - set(SET_GROUPS["six"]) == {"IC13_1015", "IC15_2077"}


@pytest.mark.parametrize(("group", "size"), [("six", 6), ("eight", 8)])
def test_means_match_exact_fractions(group, size):
    names = list(CORRECT)[:size]
    total = sum(EXPECTED_COUNTS[name] for name in names)
    plain = sum(Fraction(CORRECT[name], EXPECTED_COUNTS[name]) for name in names) / size
    weighted = Fraction(sum(CORRECT[name] for name in names), total)
    half = sum(Fraction(1, 2 * EXPECTED_COUNTS[name]) for name in names) / size
    metrics = make_report().to_metrics()
    # Compared as closely as floats allow: nothing is rounded to four digits.
    assert metrics[f"{group}/accuracy"] == pytest.approx(float(plain), abs=1e-15)
    assert metrics[f"{group}/weighted_accuracy"] == pytest.approx(float(weighted), abs=1e-15)
    assert metrics[f"{group}/one_minus_ned"] == pytest.approx(float(plain + half), abs=1e-15)
    assert metrics[f"{group}/weighted_one_minus_ned"] == pytest.approx(
        float(weighted + Fraction(size, 2 * total)), abs=1e-15
    )
    assert "present" not in make_report().means


def test_means_over_absent_sets_are_not_computed():
    report = make_report("SVT")
    metrics = report.to_metrics()
    assert not any(name.startswith(("six/", "eight/", "SVT/")) for name in metrics)
    assert metrics["present/accuracy"] == pytest.approx(
        sum(CORRECT[n] / EXPECTED_COUNTS[n] for n in CORRECT if n != "SVT") / 7, abs=1e-15
    )
    assert row(report, "SVT") == ["SVT", "", "", "", "", "ABSENT: there is no folder"]
    for group in ("six", "eight"):
        assert row(report, f"mean of {group}")[-1] == "not computed: no SVT"
    assert row(report, "mean of the 7 present")[-1] == (
        "IIIT5k, IC13_857, IC15_1811, SVTP, CUTE80, IC13_1015, IC15_2077"
    )
    as_json = json.loads(json.dumps(report.to_dict()))
    assert as_json["means"]["six"] is as_json["means"]["eight"] is None
    assert as_json["absent"] == {"SVT": "there is no folder"}


def test_mean_of_six_needs_only_its_six_sets():
    report = make_report("IC13_1015", "IC15_2077")
    assert report.means.keys() == {"six"}
    assert row(report, "mean of eight")[-1] == "not computed: no IC13_1015, IC15_2077"


def test_other_sets_enter_only_the_mean_of_present_sets():
    report = make_report(ArT=SetScore(count=10, correct=1, similarity=2.0))
    assert report.means["eight"] == make_report().means["eight"]
    assert report.means["present"].sets == (*EXPECTED_COUNTS, "ArT")


def test_wrong_counts_are_flagged():
    short = SetScore(count=646, correct=600, similarity=600.0, expected_count=647)
    report = make_report(SVT=short)
    assert row(report, "SVT")[-1] == "COUNT: should be 647"
    assert row(report, "CUTE80")[-1] == ""
    assert row(report, "mean of six")[-1] == "COUNT: see SVT"
    assert row(make_report(), "mean of six")[-1] == ""
    assert report.to_dict()["sets"]["SVT"]["expected_count"] == 647


def test_table_shows_percent_with_two_digits():
    assert row(make_report(), "IIIT5k")[1:5] == ["3000", "2917", "97.23", "97.25"]


def test_bad_samples_are_listed():
    words = [
        WordScore(
            set_name="SVT",
            key=f"SVT:{number}",
            correct=False,
            similarity=0.0,
            bad_sample=number > 1,
            empty_label=number == 0,
        )
        for number in range(25)
    ]
    report = make_report(**score_sets(words))
    assert row(report, "SVT")[-1] == (
        "COUNT: should be 647; 23 bad, counted as wrong; 1 with an empty label"
    )
    markdown = report.to_markdown()
    assert "Bad samples of SVT: SVT:2, SVT:3" in markdown
    assert markdown.endswith("SVT:21 and 3 more\n")
    assert len(report.to_dict()["sets"]["SVT"]["bad_samples"]) == 23


def test_metrics_without_a_report_are_skipped(tmp_path):
    metrics = [BenchmarkMetric(), WordMetric(mode="exact")]
    runner = SimpleNamespace(
        cfg=Config(), work_dir=tmp_path, test_evaluator=SimpleNamespace(metrics=metrics)
    )
    BenchmarkReportHook().after_test_epoch(runner)
    assert list(tmp_path.iterdir()) == []


def test_set_without_comparable_labels_is_not_computed():
    hindi = SetScore(count=3, correct=2, similarity=2.0, empty_labels=3)
    report = make_report("CUTE80", own=hindi)
    metrics = report.to_metrics()
    assert math.isnan(metrics["own/accuracy"]) and math.isnan(metrics["own/one_minus_ned"])
    present = make_report("CUTE80").to_metrics()
    assert {k: v for k, v in metrics.items() if k.startswith("present/")} == {
        k: v for k, v in present.items() if k.startswith("present/")
    }
    assert row(report, "own")[1:5] == ["3", "", "", ""]
    assert "NOT COMPUTED: no label" in row(report, "own")[5]
    assert json.loads(json.dumps(report.to_dict()))["sets"]["own"]["accuracy"] is None
    alone = BenchmarkReport(protocol=TextProtocol(), scores=dict(own=hindi))
    assert alone.means == {}


def test_remark_on_the_present_sets_names_unexpected_counts():
    short = SetScore(count=4, correct=4, similarity=4.0, expected_count=647)
    report = make_report("CUTE80", SVT=short)
    assert row(report, "mean of the 7 present")[5].endswith("; COUNT: see SVT")
