"""Scores of single words, of sets, and means over sets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .benchmark_sets import EXPECTED_COUNTS


@dataclass(frozen=True, kw_only=True)
class WordScore:
    """Score of one word.

    Attributes:
        set_name: Benchmark set that the word belongs to.
        key: Name of the sample.
        path: Path of its image, if known. Name and path together are unique within a set.
        correct: Whether the reading is correct.
        similarity: One minus the normalised edit distance.
        bad_sample: Whether the image could not be read; the word then counts as wrong.
        empty_label: Whether no character of the label counts, so that an empty reading is correct.
    """

    set_name: str
    key: str
    path: str = ""
    correct: bool
    similarity: float
    bad_sample: bool
    empty_label: bool


@dataclass(frozen=True, kw_only=True)
class SetScore:
    """Scores of one set.

    Attributes:
        count: Number of words; 0 if a test had none.
        correct: Number of words read correctly.
        similarity: Sum of one minus the normalised edit distance over the words.
        expected_count: Number of words the set should have; None if unknown.
        bad_samples: Keys of the words whose images could not be read.
        empty_labels: Number of words whose labels have no character that counts.
    """

    count: int
    correct: int
    similarity: float
    expected_count: int | None = None
    bad_samples: tuple[str, ...] = ()
    empty_labels: int = 0

    @property
    def is_comparable(self) -> bool:
        """Whether any label has a character that counts.

        Words in other scripts equal any other text without a character that counts.
        """
        return self.empty_labels < self.count

    @property
    def accuracy(self) -> float:
        """Fraction of the words read correctly, 0 to 1; NaN unless the set is comparable."""
        return self.correct / self.count if self.is_comparable else math.nan

    @property
    def one_minus_ned(self) -> float:
        """Mean of one minus the normalised edit distance, 0 to 1; NaN like :attr:`accuracy`."""
        return self.similarity / self.count if self.is_comparable else math.nan

    @property
    def has_expected_count(self) -> bool:
        """Whether the number of words is as expected; True if no number is known."""
        return self.expected_count in (None, self.count)

    @property
    def remarks(self) -> str:
        """Unexpected count, bad samples and empty labels, as text; empty if there are none."""
        remarks = []
        if not self.has_expected_count:
            remarks.append(f"COUNT: should be {self.expected_count}")
        if self.bad_samples:
            remarks.append(f"{len(self.bad_samples)} bad, counted as wrong")
        if self.empty_labels:
            remarks.append(f"{self.empty_labels} with an empty label")
        return "; ".join(remarks)


@dataclass(frozen=True, kw_only=True)
class MeanScore:
    """Means over several sets.

    Attributes:
        sets: Names of the sets.
        count: Number of words in all of them.
        accuracy: Mean of the sets' accuracies.
        weighted_accuracy: The same, with each set weighted by its number of words.
        one_minus_ned: Mean of the sets' ``one_minus_ned``.
        weighted_one_minus_ned: The same, weighted.
    """

    sets: tuple[str, ...]
    count: int
    accuracy: float
    weighted_accuracy: float
    one_minus_ned: float
    weighted_one_minus_ned: float


def score_sets(words: Sequence[WordScore]) -> dict[str, SetScore]:
    """Aggregate the scores of words by set.

    Args:
        words: Scores of the words, each word once.

    Returns:
        Scores by set name, in the order in which the sets first appear.
    """
    by_set: dict[str, list[WordScore]] = {}
    for word in words:
        by_set.setdefault(word.set_name, []).append(word)
    return {
        name: SetScore(
            count=len(members),
            correct=sum(word.correct for word in members),
            # fsum: the order of words, which depends on the number of processes, must not matter.
            similarity=math.fsum(word.similarity for word in members),
            expected_count=EXPECTED_COUNTS.get(name),
            bad_samples=tuple(word.key for word in members if word.bad_sample),
            empty_labels=sum(word.empty_label for word in members),
        )
        for name, members in by_set.items()
    }


def mean_score(scores: Mapping[str, SetScore], names: Sequence[str]) -> MeanScore:
    """Return means over some of the sets.

    Args:
        scores: Scores by set name.
        names: Names of the sets to average, at least one.

    Raises:
        KeyError: If one of them has no score.
    """
    members = [scores[name] for name in names]
    count = sum(score.count for score in members)
    return MeanScore(
        sets=tuple(names),
        count=count,
        accuracy=sum(score.accuracy for score in members) / len(members),
        weighted_accuracy=sum(score.correct for score in members) / count,
        one_minus_ned=sum(score.one_minus_ned for score in members) / len(members),
        weighted_one_minus_ned=sum(score.similarity for score in members) / count,
    )
