"""Calibration: whether readings with a confidence of 90 % are correct nine times out of ten."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

NUM_BINS = 10


@dataclass
class Tally:
    """Number of words or characters, and of those read correctly.

    Attributes:
        count: Number of words or characters.
        correct: Number of these read correctly.
    """

    count: int = 0
    correct: int = 0

    @property
    def accuracy(self) -> float:
        """Fraction read correctly, 0 to 1.

        Raises:
            ZeroDivisionError: If the count is 0.
        """
        return self.correct / self.count

    def add(self, count: int, correct: int) -> None:
        """Add to the counts.

        Args:
            count: Number of words or characters.
            correct: Number of these read correctly.
        """
        self.count += count
        self.correct += correct


@dataclass
class ConfidenceBin(Tally):
    """Words whose confidence lies in one interval.

    Attributes:
        confidence_sum: Sum of their confidences.
    """

    confidence_sum: float = 0.0

    @property
    def confidence(self) -> float:
        """Mean confidence; ZeroDivisionError where there are no words."""
        return self.confidence_sum / self.count


@dataclass
class Calibration:
    """Accuracy by confidence, in intervals of equal width.

    Attributes:
        bins: :data:`NUM_BINS` intervals; number b is [b / NUM_BINS, (b + 1) / NUM_BINS), and a
            confidence of 1 is in the last.
    """

    bins: list[ConfidenceBin] = field(
        default_factory=lambda: [ConfidenceBin() for _ in range(NUM_BINS)]
    )

    def add(self, confidence: float, correct: bool) -> None:
        """Count a word.

        Args:
            confidence: Probability that the reading is correct according to the model; clamped to
                0..1 because of rounding.
            correct: Whether it is correct.
        """
        confidence = min(max(confidence, 0.0), 1.0)
        chosen = self.bins[min(int(confidence * NUM_BINS), NUM_BINS - 1)]
        chosen.add(1, correct)
        chosen.confidence_sum += confidence

    @property
    def total(self) -> ConfidenceBin:
        """All words as one interval."""
        return ConfidenceBin(
            sum(each.count for each in self.bins),
            sum(each.correct for each in self.bins),
            sum(each.confidence_sum for each in self.bins),
        )

    @property
    def error(self) -> float:
        """Expected calibration error (Naeini et al. 2015; Guo et al. 2017, equation 3).

        With n_b words in interval b and n in all, ``sum_b n_b / n |accuracy_b - confidence_b|``.

        Raises:
            ZeroDivisionError: If there are no words.
        """
        return sum(abs(each.correct - each.confidence_sum) for each in self.bins) / self.total.count


def most_misread(by_character: Mapping[str, Tally], limit: int) -> list[tuple[str, Tally]]:
    """Return the characters with the most errors, those of the lowest accuracy first.

    Args:
        by_character: Counts by character.
        limit: Maximum number of characters.
    """
    most_errors = sorted(
        by_character.items(), key=lambda item: (item[1].correct - item[1].count, item[0])
    )
    return sorted(most_errors[:limit], key=lambda item: (item[1].accuracy, item[0]))
