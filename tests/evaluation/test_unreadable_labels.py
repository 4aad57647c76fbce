"""Tests of reporting labels that the model cannot read."""

from __future__ import annotations

from types import SimpleNamespace

from lpv_mmocr.evaluation import BenchmarkMetric, UnreadableLabelsHook

import pytest
from lpv_cases import build_toy, word_sample
from mmocr.evaluation import WordMetric

LABELS = ["abc", "a№c", "№«»", "a b", "z" * 26, "№" * 30, ""]


class Runner(SimpleNamespace):
    """A runner whose validation or test has two batches."""

    def __init__(self, metrics, kind: str) -> None:
        self.said: list[str] = []
        evaluator = SimpleNamespace(metrics=metrics)
        super().__init__(
            model=build_toy(),
            logger=SimpleNamespace(warning=self.said.append),
            **{f"{kind}_evaluator": evaluator},
        )

    def read(self, hook: UnreadableLabelsHook, kind: str, labels=LABELS) -> list[str]:
        self.said.clear()
        getattr(hook, f"before_{kind}_epoch")(self)
        for number, part in enumerate((labels[:3], labels[3:])):
            getattr(hook, f"after_{kind}_iter")(self, number, outputs=[*map(word_sample, part)])
        getattr(hook, f"after_{kind}_epoch")(self, {})
        return list(self.said)


@pytest.mark.parametrize("kind", ["val", "test"])
def test_unreadable_labels_are_counted_by_reason(kind):
    runner = Runner([WordMetric(mode=["exact", "ignore_case"])], kind)
    (said,) = runner.read(UnreadableLabelsHook(), kind)
    assert said == (
        "5 of 7 labels cannot be read by this model and are wrong in an exact comparison: 4 have "
        "characters that it does not know, most often № ␣ « », 1 have more than 25 characters"
    )


def test_each_test_is_reported_and_only_the_first_validation():
    hook = UnreadableLabelsHook()
    test, validation = (Runner([WordMetric(mode="exact")], kind) for kind in ("test", "val"))
    assert [len(test.read(hook, "test")) for _ in range(2)] == [1, 1]
    assert [len(validation.read(hook, "val")) for _ in range(2)] == [1, 0]


@pytest.mark.parametrize(
    ("metric", "labels"),
    [
        (BenchmarkMetric(), LABELS),  # ignores other characters
        (WordMetric(), LABELS),
        (WordMetric(mode="exact"), ["abc", "", "0", "z" * 25]),
    ],
)
def test_nothing_is_said_otherwise(metric, labels):
    assert Runner([metric], "test").read(UnreadableLabelsHook(), "test", labels) == []
