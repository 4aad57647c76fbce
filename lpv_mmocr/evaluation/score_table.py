"""Rows of the table of sets and means."""

from __future__ import annotations

from dataclasses import dataclass

from .scores import SetScore


@dataclass(frozen=True, kw_only=True)
class Row:
    """Table row of a set or a mean.

    Attributes:
        name: Displayed name.
        count: Number of words; None if there are none to count.
        correct: Number of words read correctly; None for means.
        accuracy: Word accuracy, 0 to 1, or a mean of accuracies; None if not computed.
        one_minus_ned: One minus the normalised edit distance, 0 to 1, or a mean; None if not
            computed.
        remarks: Remarks on the numbers, such as why they are missing.
        is_mean: Whether the row is a mean.
    """

    name: str
    count: int | None = None
    correct: int | None = None
    accuracy: float | None = None
    one_minus_ned: float | None = None
    remarks: str = ""
    is_mean: bool = False


def row_of_set(name: str, score: SetScore) -> Row:
    """Return the row of one set.

    Args:
        name: Name of the set.
        score: Its score; the set may be empty.
    """
    if score.count == 0:
        return Row(name=name, count=0, correct=0, remarks="EMPTY: there are no words in it")
    if not score.is_comparable:
        why = "NOT COMPUTED: no label has a character that is compared"
        return Row(name=name, count=score.count, remarks=why)
    return Row(
        name=name,
        count=score.count,
        correct=score.correct,
        accuracy=score.accuracy,
        one_minus_ned=score.one_minus_ned,
        remarks=score.remarks,
    )
