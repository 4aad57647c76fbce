"""Which characters of a reading are right, wrong, too many or missing."""

from __future__ import annotations

import unicodedata
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from rapidfuzz.distance import Levenshtein

from .text_protocol import TextProtocol


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


def align(
    reading: str, truth: str | None, protocol: TextProtocol | None = None
) -> list[CharacterMatch]:
    """Lay a reading beside the ground truth, with as few differences as possible.

    Args:
        reading: What was read.
        truth: Ground truth, or None, which makes nothing wrong.
        protocol: What counts. Without one everything does but case, and but punctuation, symbols
            and spaces that are missed or too many.

    Returns:
        One match for each character of the reading and each missed one, in reading order.
    """
    if truth is None:
        return [CharacterMatch(read, None, False) for read in reading]
    if protocol is None:
        return _laid(reading, truth, str.casefold, _belongs_to_a_word)
    # What does not count is put back afterwards, so that it moves nothing that does.
    matches = []
    rests = deque(reading), deque(truth)
    letters = [[*filter(protocol.reduce, text)] for text in rests]
    for match in _laid(*letters, protocol.reduce, bool):
        here = [
            rest if character is not None else ()
            for rest, character in zip(rests, (match.read, match.truth), strict=True)
        ]
        matches += _unmarked(*(_until_it_counts(rest, protocol) for rest in here))
        matches.append(match)
        for rest in filter(None, here):
            rest.popleft()
    return matches + _unmarked(*rests)


def _until_it_counts(rest: deque[str], protocol: TextProtocol) -> list[str]:
    """Takes what does not count from the beginning of a text."""
    taken = []
    while rest and not protocol.reduce(rest[0]):
        taken.append(rest.popleft())
    return taken


def _unmarked(read: Iterable[str], there: Iterable[str]) -> list[CharacterMatch]:
    return [CharacterMatch(*pair, False) for pair in zip_longest(read, there)]


def _laid(
    reading: Sequence[str],
    truth: Sequence[str],
    fold: Callable[[str], str],
    counts: Callable[[str], bool],
) -> list[CharacterMatch]:
    matches = []
    # Character by character: folding a whole text may change its length ("ß" to "ss").
    folded = [[fold(character) for character in text] for text in (truth, reading)]
    for step in Levenshtein.opcodes(*folded):
        there = truth[step.src_start : step.src_end]
        read = reading[step.dest_start : step.dest_end]
        if step.tag in ("equal", "replace"):
            wrong = step.tag == "replace"
            matches += [CharacterMatch(*pair, wrong) for pair in zip(read, there, strict=True)]
        else:
            matches += [CharacterMatch(extra, None, counts(extra)) for extra in read]
            matches += [CharacterMatch(None, missed, counts(missed)) for missed in there]
    return matches


def _belongs_to_a_word(character: str) -> bool:
    # Vowel signs of Indic scripts are marks, and neither letters nor digits to str.isalnum.
    return unicodedata.category(character)[0] in "LMN"
