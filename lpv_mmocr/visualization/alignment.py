"""Which characters of a reading are right, wrong, too many or missing."""

from __future__ import annotations

from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein


@dataclass(frozen=True)
class CharacterMatch:
    """A character of a reading beside one of the ground truth.

    Attributes:
        read: What was read, or None where a character was missed.
        truth: What is there, or None where a character is too many or no truth is known.
        wrong: Whether to mark it.
    """

    read: str | None
    truth: str | None
    wrong: bool


def align(reading: str, truth: str | None) -> list[CharacterMatch]:
    """Lay a reading beside the ground truth, with as few differences as possible.

    As in the evaluation, case does not count, nor do marks that are neither letters nor digits
    where they are missed or too many.

    Args:
        reading: What was read.
        truth: Ground truth, or None, which makes nothing wrong.

    Returns:
        One match for each character of the reading and each missed one, in reading order.
    """
    if truth is None:
        return [CharacterMatch(read, None, False) for read in reading]
    matches = []
    # Character by character: folding a whole text may change its length ("ß" to "ss").
    folded = [[character.casefold() for character in text] for text in (reading, truth)]
    for step in Levenshtein.opcodes(*folded):
        read = reading[step.src_start : step.src_end]
        there = truth[step.dest_start : step.dest_end]
        if step.tag == "equal":
            matches += [CharacterMatch(*pair, False) for pair in zip(read, there, strict=True)]
        elif step.tag == "replace":
            matches += [CharacterMatch(*pair, True) for pair in zip(read, there, strict=True)]
        else:
            matches += [CharacterMatch(extra, None, extra.isalnum()) for extra in read]
            matches += [CharacterMatch(None, missed, missed.isalnum()) for missed in there]
    return matches
