"""Tests of the statistics of the words of a test."""

from __future__ import annotations

from collections import Counter

from lpv_mmocr.evaluation import TextProtocol
from lpv_mmocr.evaluation.text_protocol import ExactText
from lpv_mmocr.reporting import WordResult

import pytest
from report_cases import gather, words


class TestByHand:
    @pytest.fixture
    def statistics(self):
        texts = [("Hallo!", "hello", False), ("so", "os", False), ("no", "no", True), ("?", "", 0)]
        return gather(
            [
                WordResult(
                    index=index, key=str(index), label=label, text=text, bad_sample=bool(bad)
                )
                for index, (label, text, bad) in enumerate(texts)
            ]
        )

    def test_words_are_counted(self, statistics):
        # No character of "?" counts, so an empty reading is correct; the bad sample is wrong.
        assert (statistics.words.count, statistics.words.correct) == (4, 1)
        assert statistics.score.accuracy == 0.25
        assert statistics.score.one_minus_ned == pytest.approx((4 / 5 + 0 + 0 + 1) / 4)
        assert (statistics.empty_labels, statistics.empty_texts) == (1, 1)
        assert (statistics.num_bad_samples, statistics.bad_samples) == (1, ["2"])

    def test_reading_of_characters_that_do_not_count_is_not_empty(self):
        statistics = gather([WordResult(index=0, key="0", label="a", text="!")])
        assert statistics.empty_texts == 0

    def test_lengths_are_of_characters_that_count(self, statistics):
        counts = {n: (tally.count, tally.correct) for n, tally in statistics.by_length.items()}
        assert counts == {5: (1, 0), 2: (2, 0), 0: (1, 1)}

    def test_characters_and_confusions_are_counted(self, statistics):
        counts = {c: (tally.count, tally.correct) for c, tally in statistics.by_character.items()}
        assert counts["a"] == (1, 0)
        assert counts["l"] == (2, 2)
        assert "n" not in counts, "nothing was read of the bad sample"
        assert "!" not in counts
        assert statistics.confusions["a", "e"] == 1
        # "so" read as "os": two replacements, or one missing and one extra character.
        assert statistics.confusions.total() == 3

    def test_exact_text_counts_everything(self):
        word = WordResult(index=0, key="", label="É b", text="é b")
        statistics = gather([word], ExactText())
        assert statistics.words.correct == 0
        assert statistics.confusions == Counter({("É", "é"): 1})
        assert statistics.by_length[3].count == 1


def test_worst_errors_are_the_most_confident():
    read = words(500)
    statistics = gather(read, num_worst=7)
    protocol = TextProtocol()
    wrong = [
        word
        for word in read
        if protocol.reduce(word.label) != protocol.reduce(word.text) and not word.bad_sample
    ]
    wrong.sort(key=lambda word: -word.confidence)
    assert statistics.worst == wrong[:7]


def test_errors_without_confidence_come_last_in_data_order():
    confidences = [None, 0.1, None, 0.3]
    read = [
        WordResult(index=index, key="", label="a", text="b", confidence=confidence)
        for index, confidence in enumerate(confidences)
    ]
    statistics = gather(read)
    assert [word.index for word in statistics.worst] == [3, 1, 0, 2]
    assert statistics.calibration.total.count == 2


def test_non_finite_confidence_counts_as_none():
    confidences = [float("nan"), 0.1, float("nan"), 0.3, float("inf")]
    read = [
        WordResult(index=index, key="", label="a", text="b", confidence=confidence)
        for index, confidence in enumerate(confidences)
    ]
    statistics = gather(read)
    assert statistics.calibration.total.count == 2
    assert [word.index for word in statistics.worst] == [3, 1, 0, 2, 4]
    assert [word.confidence for word in statistics.worst] == [0.3, 0.1, None, None, None]


def test_number_of_errors_and_bad_samples_is_limited():
    few, many = (gather(words(count)) for count in (2000, 6000))
    assert len(many.worst) == len(few.worst) == 30
    assert len(many.bad_samples) == 20 < many.num_bad_samples
    assert len(many.by_character) == len(few.by_character) == 36


def test_order_of_the_words_does_not_matter():
    read = words(400)
    forth, back = gather(read), gather(read[::-1])
    assert forth.words == back.words
    assert forth.similarity == pytest.approx(back.similarity, abs=1e-9)
    assert forth.by_length == back.by_length
    assert forth.by_character == back.by_character
    assert forth.confusions == back.confusions
    assert forth.worst == back.worst
    assert forth.num_bad_samples == back.num_bad_samples == 8
    assert forth.calibration.error == pytest.approx(back.calibration.error, abs=1e-12)
