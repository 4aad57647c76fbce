"""The table of sets and means, row by row."""

from __future__ import annotations

from dataclasses import dataclass

from .scores import SetScore


@dataclass(frozen=True, kw_only=True)
class Row:
    """A set or a mean.

    Attributes:
        name: What it is called.
        count: Number of words; None where there are none to count.
        correct: How many of them were read right; None for means.
        accuracy: Part that was read right, 0 to 1, or the mean of such; None if not computed.
        one_minus_ned: One minus the normalised edit distance, likewise.
        remarks: What one should know about it.
        is_mean: Whether it is a mean.
    """

    name: str
    count: int | None = None
    correct: int | None = None
    accuracy: float | None = None
    one_minus_ned: float | None = None
    remarks: str = ""
    is_mean: bool = False


def set_row(name: str, score: SetScore) -> Row:
    """Row of one set.

    Args:
        name: Name of the set.
        score: Its score; the set may be empty.
    """
    if score.count == 0:
        return Row(name=name, count=0, correct=0, remarks="EMPTY: there are no words in it")
    return Row(
        name=name,
        count=score.count,
        correct=score.correct,
        accuracy=score.accuracy,
        one_minus_ned=score.one_minus_ned,
        remarks=score.remarks,
    )
