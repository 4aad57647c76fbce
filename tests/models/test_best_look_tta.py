"""Which look is kept, and which looks are taken, with a recogniser that says what it is told."""

from __future__ import annotations

from lpv_mmocr.models import BestLookTTAModel
from lpv_mmocr.models.best_look_tta import word_confidence

import pytest
from lpv_cases import word_sample
from mmengine.structures import LabelData
from mmocr.registry import MODELS
from torch import nn


class Recogniser(nn.Module):
    """An input is (text, confidence); remembers what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = []

    def test_step(self, data: dict) -> list:
        self.calls.append([text for text, _ in data["inputs"]])
        for (text, confidence), sample in zip(data["inputs"], data["data_samples"], strict=True):
            sample.pred_text = LabelData(item=text, score=[1.0], word_score=confidence)
        return data["data_samples"]


def read(*looks: list, **options) -> tuple[list[str], list[list[str]]]:
    """Texts, and what was looked at."""
    model = BestLookTTAModel(Recogniser(), **options)
    samples = [[word_sample() for _ in look] for look in looks]
    best = model.test_step(dict(inputs=list(looks), data_samples=samples))
    return [sample.pred_text.item for sample in best], model.module.calls


def test_unsure_words_alone_are_looked_at_again():
    texts, calls = read(
        [("a", 0.95), ("b", 0.5), ("c", 0.1), ("d", 0.79)],
        [("A", 0.99), ("B", 0.9), ("C", 0.2), ("D", 0.3)],
        [("1", 1.0), ("2", 1.0), ("3", 0.15), ("4", 0.4)],
    )
    assert texts == ["a", "B", "C", "d"]
    assert calls == [["a", "b", "c", "d"], ["B", "C", "D"], ["3", "4"]]


def test_no_look_is_taken_for_nothing():
    texts, calls = read([("a", 0.8)], [("b", 0.99)])
    assert (texts, calls) == (["a"], [["a"]])


def test_the_earlier_look_counts_where_two_are_alike():
    assert read([("a", 0.5)], [("b", 0.5)], [("c", 0.5)])[0] == ["a"]


def test_how_sure_is_sure():
    looks = [("a", 0.8)], [("b", 0.99)]
    assert read(*looks, sure=0.81)[0] == ["b"]
    assert read(*looks, sure=1.01)[1] == [["a"], ["b"]]
    assert read(*looks, sure=0)[1] == [["a"]]


def test_one_look_is_enough():
    assert read([("a", 0.1), ("b", 0.2)])[0] == ["a", "b"]


def test_merging_several_looks():
    samples = []
    for confidence in (0.2, 0.7, 0.6):
        samples.append(word_sample())
        samples[-1].pred_text = LabelData(item="x", score=[1.0], word_score=confidence)
    (best,) = BestLookTTAModel(Recogniser()).merge_preds([samples])
    assert best is samples[1]


def test_registered():
    assert MODELS.get("BestLookTTAModel") is BestLookTTAModel


def test_confidence_without_a_word_score():
    sample = word_sample()
    sample.pred_text = LabelData(item="ab", score=[0.5, 0.5])
    assert word_confidence(sample) == pytest.approx(0.25)
    sample.pred_text = LabelData(item="ab", score=[0.5, 0.5], word_score=0.2)
    assert word_confidence(sample) == 0.2
