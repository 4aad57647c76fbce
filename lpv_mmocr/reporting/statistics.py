"""What the words of a test come to: counts, and the worst errors."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from dataclasses import dataclass, field, replace

from ..evaluation import SetScore, TextProtocol
from ..evaluation.alignment import align
from .calibration import Calibration, Tally

MISSING = ""
"""Stands in a confusion for the character that is not there."""

_NAMED_BAD_SAMPLES = 20


@dataclass(frozen=True, kw_only=True)
class ReadWord:
    """A word with its label and what was read.

    Attributes:
        index: Position in the data set.
        key: Name of the sample.
        label: The label.
        text: What was read.
        confidence: Probability that the model gives to the whole text, 0 to 1; None without one.
        character_scores: Probabilities of the single characters of ``text``.
        set_name: Benchmark set that the word belongs to, or nothing.
        bad_sample: Whether the picture could not be read; the word then counts as wrong.
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

    A word whose picture could not be read counts as wrong among the words, and not at all among
    characters and confidences: nothing was read.

    Attributes:
        protocol: What counts of a text; characters that do not are never seen here.
        num_worst: How many errors to keep.
        words: All words.
        similarity: Sum over the words of one minus the normalised edit distance.
        empty_labels: Words of whose label nothing counts, so that reading nothing is right.
        empty_texts: Words out of which nothing was read, unreadable pictures aside.
        num_bad_samples: Pictures that could not be read.
        bad_samples: Names of the first of them.
        by_length: Words by the number of characters of the label.
        by_character: Characters of the labels, and how many of each were read right.
        confusions: How often the first character was read as the second. One of both is
            :data:`MISSING` where a character was left out or is one too many.
        calibration: Confidence against accuracy.
        worst: The errors that the model was most sure of, the surest first.
    """

    protocol: TextProtocol
    num_worst: int = 30
    words: Tally = field(default_factory=Tally)
    similarity: float = 0.0
    empty_labels: int = 0
    empty_texts: int = 0
    num_bad_samples: int = 0
    bad_samples: list[str] = field(default_factory=list)
    by_length: dict[int, Tally] = field(default_factory=dict)
    by_character: dict[str, Tally] = field(default_factory=dict)
    confusions: Counter[tuple[str, str]] = field(default_factory=Counter)
    calibration: Calibration = field(default_factory=Calibration)
    worst: list[ReadWord] = field(default_factory=list)

    def add(self, word: ReadWord) -> None:
        """Count a word.

        Args:
            word: A word that was not counted yet. A confidence that is not a number counts as none.
        """
        if word.confidence is not None and not math.isfinite(word.confidence):
            word = replace(word, confidence=None)
        label, text = self.protocol.reduce(word.label), self.protocol.reduce(word.text)
        right = label == text and not word.bad_sample
        self.words.add(1, right)
        self.empty_labels += not label
        self.by_length.setdefault(len(label), Tally()).add(1, right)
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
            self.calibration.add(word.confidence, right)
        if not right:
            self.worst = heapq.nlargest(self.num_worst, [*self.worst, word], key=_sureness)

    @property
    def score(self) -> SetScore:
        """All words as one set, as the table of sets has it."""
        return SetScore(
            count=self.words.count,
            correct=self.words.right,
            similarity=self.similarity,
            empty_labels=self.empty_labels,
        )


def _sureness(word: ReadWord) -> tuple[float, int]:
    """Order of errors; of two that are as sure, the first of the data set comes first."""
    confidence = -1.0 if word.confidence is None else word.confidence
    return confidence, -word.index
