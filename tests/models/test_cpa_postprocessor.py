"""Tests of decoding: end, no end, start class inside a word, empty text."""

from __future__ import annotations

import math

from lpv_mmocr.models import CPAPostprocessor

import numpy as np
import pytest
import torch
from lpv_cases import DICTIONARY, word_sample

START, END = 36, 37
A, B = 10, 11


def _probs(classes: list[int], scores: list[float], positions: int = 27) -> torch.Tensor:
    """Return probabilities (T, C) with the given best classes at positions 1, 2, ...."""
    probs = torch.zeros(positions, 38)
    probs[0, START] = 1.0
    for place, (index, score) in enumerate(zip(classes, scores, strict=True), start=1):
        probs[place] = (1 - score) / 37
        probs[place, index] = score
    # Positions after the end must not matter.
    probs[len(classes) + 1 :, B] = 0.9
    return probs


def _read(*words: torch.Tensor):
    samples = [word_sample() for _ in words]
    CPAPostprocessor(DICTIONARY)(torch.stack(words), samples)
    return [sample.pred_text for sample in samples]


def test_characters_up_to_the_end_are_read():
    (word,) = _read(_probs([A, B, END], [0.9, 0.8, 0.7]))
    assert word.item == "ab"
    assert word.score == pytest.approx([0.9, 0.8])
    assert word.word_score == pytest.approx(0.9 * 0.8 * 0.7)


def test_position_zero_is_not_read():
    probs = _probs([B, END], [0.9, 0.9])
    probs[0] = 0
    probs[0, A] = 0.5
    (word,) = _read(probs)
    assert word.item == "b"
    assert word.word_score == pytest.approx(0.81)


def test_no_end_keeps_all_26_characters():
    scores = np.linspace(0.99, 0.9, 26).tolist()
    (word,) = _read(_probs([A] * 26, scores))
    assert word.item == "a" * 26
    assert word.score == pytest.approx(scores)
    assert word.word_score == pytest.approx(math.prod(scores), rel=1e-5)


def test_start_class_is_not_printed_but_lowers_word_score():
    (word,) = _read(_probs([A, START, B, END], [0.9, 0.5, 0.8, 0.7]))
    assert word.item == "ab"
    assert word.score == pytest.approx([0.9, 0.8])
    assert word.word_score == pytest.approx(0.9 * 0.5 * 0.8 * 0.7)


def test_empty_text_has_the_score_of_the_end():
    (word,) = _read(_probs([END], [0.6]))
    assert word.item == ""
    assert word.score == pytest.approx([0.6])
    assert word.word_score == pytest.approx(0.6)
    assert np.isfinite(np.mean(word.score))


def test_start_classes_without_end_give_the_empty_text():
    probs = _probs([START] * 26, [0.9] * 26)
    probs[-1, END] = 0.04
    (word,) = _read(probs)
    assert word.item == ""
    assert word.score == pytest.approx([0.04])
    assert word.word_score == pytest.approx(0.9**26)
    assert CPAPostprocessor(DICTIONARY).get_single_prediction(probs) == ([], word.score)


def test_empty_text_after_start_class_has_the_score_of_the_end():
    (word,) = _read(_probs([START, END], [0.9, 0.7]))
    assert (word.item, word.score) == ("", pytest.approx([0.7]))


def test_batch_and_single_word_agree():
    words = [_probs([A, END], [0.9, 0.8]), _probs([END], [0.7]), _probs([A] * 26, [0.99] * 26)]
    processor = CPAPostprocessor(DICTIONARY)
    for probs, word in zip(words, _read(*words), strict=True):
        indexes, scores = processor.get_single_prediction(probs)
        assert processor.dictionary.idx2str(indexes) == word.item
        assert scores == word.score


def test_dictionary_needs_start_and_end():
    with pytest.raises(ValueError, match="with_start=True and with_end=True"):
        CPAPostprocessor(dict(DICTIONARY, with_end=False))


def test_start_and_end_must_differ():
    with pytest.raises(ValueError, match="same_start_end=False"):
        CPAPostprocessor(dict(DICTIONARY, same_start_end=True))


def test_padding_class_prints_nothing():
    dictionary = dict(type="CharacterDictionary", characters="ab", with_padding=True)
    postprocessor = CPAPostprocessor(dictionary)
    classes = postprocessor.dictionary
    probs = torch.full((5, classes.num_classes), 0.01)
    best = [classes.start_idx, 0, classes.padding_idx, 1, classes.end_idx]
    probs[range(5), best] = 0.9
    samples = [word_sample()]
    postprocessor(probs[None], samples)
    assert samples[0].pred_text.item == "ab"
    assert samples[0].pred_text.score == pytest.approx([0.9, 0.9])
    assert samples[0].pred_text.word_score == pytest.approx(0.9**4)
