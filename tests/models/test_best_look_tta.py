"""Tests of test-time augmentation with a recogniser whose readings are given."""

from __future__ import annotations

from lpv_mmocr.models import BestLookTTAModel
from lpv_mmocr.models.best_look_tta import word_confidence

import pytest
import torch
from lpv_cases import word_sample
from mmengine.structures import LabelData
from mmocr.registry import MODELS
from torch import nn


class Recogniser(nn.Module):
    """Recogniser that returns the character and confidence in each input and records its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = []

    def test_step(self, data: dict) -> list:
        words = [(chr(int(number)), confidence.item()) for number, confidence in data["inputs"]]
        self.calls.append([text for text, _ in words])
        for (text, confidence), sample in zip(words, data["data_samples"], strict=True):
            sample.pred_text = LabelData(item=text, score=[1.0], word_score=confidence)
        return data["data_samples"]


def read(*looks: list, **options) -> tuple[list[str], list[list[str]]]:
    """Return the kept texts and the texts read in each call."""
    model = BestLookTTAModel(Recogniser(), **options)
    samples = [[word_sample() for _ in look] for look in looks]
    inputs = [[torch.tensor([ord(text), sure]) for text, sure in look] for look in looks]
    best = model.test_step(dict(inputs=inputs, data_samples=samples))
    return [sample.pred_text.item for sample in best], model.module.calls


def test_only_low_confidence_words_are_read_again():
    texts, calls = read(
        [("a", 0.95), ("b", 0.5), ("c", 0.1), ("d", 0.79)],
        [("A", 0.99), ("B", 0.9), ("C", 0.2), ("D", 0.3)],
        [("1", 1.0), ("2", 1.0), ("3", 0.15), ("4", 0.4)],
    )
    assert texts == ["a", "B", "C", "d"]
    assert calls == [["a", "b", "c", "d"], ["B", "C", "D"], ["3", "4"]]


def test_confident_words_are_read_once():
    texts, calls = read([("a", 0.81)], [("b", 0.99)])
    assert (texts, calls) == (["a"], [["a"]])


def test_view_that_changes_nothing_is_skipped():
    texts, calls = read(
        [("a", 0.1), ("b", 0.1)], [("a", 0.1), ("B", 0.2)], [("1", 0.3), ("b", 0.1)]
    )
    assert texts == ["1", "B"]
    assert calls == [["a", "b"], ["B"], ["1"]]


def test_ties_go_to_the_earlier_view():
    assert read([("a", 0.5)], [("b", 0.5)], [("c", 0.5)])[0] == ["a"]


def test_reading_stops_at_confidence_sure():
    looks = [("a", 0.8)], [("b", 0.99)]
    assert read(*looks, sure=0.81)[0] == ["b"]
    assert read([("a", 0.75)], [("b", 0.99)], sure=0.75)[0] == ["a"]
    assert read(*looks, sure=1.01)[1] == [["a"], ["b"]]
    assert read(*looks, sure=0)[1] == [["a"]]


def test_single_view_is_accepted_at_any_confidence():
    assert read([("a", 0.1), ("b", 0.2)])[0] == ["a", "b"]


def test_merge_preds_keeps_most_confident_view():
    samples = []
    for confidence in (0.2, 0.7, 0.6):
        samples.append(word_sample())
        samples[-1].pred_text = LabelData(item="x", score=[1.0], word_score=confidence)
    (best,) = BestLookTTAModel(Recogniser()).merge_preds([samples])
    assert best is samples[1]


def test_registered():
    assert MODELS.get("BestLookTTAModel") is BestLookTTAModel


def test_confidence_falls_back_to_product_of_scores():
    sample = word_sample()
    sample.pred_text = LabelData(item="ab", score=[0.5, 0.5])
    assert word_confidence(sample) == pytest.approx(0.25)
    sample.pred_text = LabelData(item="ab", score=[0.5, 0.5], word_score=0.2)
    assert word_confidence(sample) == 0.2


@pytest.mark.parametrize("scores", [[], [float("nan")], [0.9, float("nan")]])
def test_missing_or_nan_scores_give_zero_confidence(scores):
    """The product of no scores would be 1, and NaN compares below no threshold."""
    sample = word_sample()
    sample.pred_text = LabelData(item="", score=scores)
    assert word_confidence(sample) == 0
    sample.pred_text = LabelData(item="", score=[1.0], word_score=float("nan"))
    assert word_confidence(sample) == 0
