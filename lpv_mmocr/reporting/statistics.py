"""Statistics over the words of a test: counts and worst errors."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from dataclasses import dataclass, field, replace

from ..evaluation import SetScore, TextProtocol
from ..evaluation.alignment import align
from .calibration import Calibration, Tally

MISSING = ""
"""Placeholder for the missing character of a confusion."""

_NAMED_BAD_SAMPLES = 20


@dataclass(frozen=True, kw_only=True)
class WordResult:
    """A word with its label and what was read.

    Attributes:
        index: Index in the dataset.
        key: Name of the sample.
        label: The label.
        text: Text that was read.
        confidence: Probability that the model assigns to the entire text, 0 to 1; None if unknown.
        character_scores: Probabilities of the single characters of ``text``.
        set_name: Benchmark set that the word belongs to, or an empty string.
        bad_sample: Whether the image could not be read; the word then counts as wrong.
    """

    index: int
    key: str
    label: str
    text: str
    confidence: float | None = None
    character_scores: tuple[float, ...] = ()
    set_name: str = ""
    bad_sample: bool = False


@dataclass(kw_only=True)
class ReadingStatistics:
    """Counts over the words of a test.

    A word whose image could not be read counts as a wrong word, but is left out of the counts of
    characters and confidences, since nothing was read.

    Attributes:
        protocol: Protocol that determines which characters count; all others are ignored here.
        num_worst: Maximum number of errors to keep.
        words: Counts over all words.
        similarity: Sum over the words of one minus the normalised edit distance.
        empty_labels: Number of labels without a character that counts, for which an empty reading
            is correct.
        empty_texts: Number of empty readings, apart from unreadable images.
        num_bad_samples: Number of images that could not be read.
        bad_samples: Names of the first of them.
        num_left_out: Number of words that were not added, as they are of sets in which no label has
            a character that counts.
        by_length: Counts of words by the number of characters in the label.
        by_character: Counts of each character in the labels, and of those read correctly.
        confusions: How often the first character was read as the second. One of the two is
            :data:`MISSING` if a character was missed or superfluous.
        calibration: Accuracy by confidence.
        worst: Errors with the highest confidence, the most confident first.
    """

    protocol: TextProtocol
    num_worst: int = 30
    words: Tally = field(default_factory=Tally)
    similarity: float = 0.0
    empty_labels: int = 0
    empty_texts: int = 0
    num_bad_samples: int = 0
    bad_samples: list[str] = field(default_factory=list)
    num_left_out: int = 0
    by_length: dict[int, Tally] = field(default_factory=dict)
    by_character: dict[str, Tally] = field(default_factory=dict)
    confusions: Counter[tuple[str, str]] = field(default_factory=Counter)
    calibration: Calibration = field(default_factory=Calibration)
    worst: list[WordResult] = field(default_factory=list)

    def add(self, word: WordResult) -> None:
        """Count a word.

        Args:
            word: A word not counted before. A confidence that is not finite is ignored.
        """
        if word.confidence is not None and not math.isfinite(word.confidence):
            word = replace(word, confidence=None)
        label, text = self.protocol.reduce(word.label), self.protocol.reduce(word.text)
        correct = label == text and not word.bad_sample
        self.words.add(1, correct)
        self.empty_labels += not label
        self.by_length.setdefault(len(label), Tally()).add(1, correct)
        if word.bad_sample:
            self.num_bad_samples += 1
            self.bad_samples = [*self.bad_samples, word.key][:_NAMED_BAD_SAMPLES]
            return
        self.similarity += self.protocol.similarity(word.label, word.text)
        self.empty_texts += not word.text
        for match in align(text, label, self.protocol):
            if match.truth is not None:
                self.by_character.setdefault(match.truth, Tally()).add(1, not match.wrong)
            if match.wrong:
                self.confusions[match.truth or MISSING, match.read or MISSING] += 1
        if word.confidence is not None:
            self.calibration.add(word.confidence, correct)
        if not correct:
            self.worst = heapq.nlargest(self.num_worst, [*self.worst, word], key=_confidence_key)

    @property
    def score(self) -> SetScore:
        """Score of all words as one set, for the table of sets."""
        return SetScore(
            count=self.words.count,
            correct=self.words.correct,
            similarity=self.similarity,
            empty_labels=self.empty_labels,
        )


def _confidence_key(word: WordResult) -> tuple[float, int]:
    """Return the sort key of errors; on ties, the one earlier in the dataset ranks higher."""
    confidence = -1.0 if word.confidence is None else word.confidence
    return confidence, -word.index
