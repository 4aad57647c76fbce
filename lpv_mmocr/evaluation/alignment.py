"""Alignment of a reading with the ground truth, character by character."""

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
    """A character of a reading, paired with one of the ground truth.

    Attributes:
        read: Character that was read, or None if one was missed.
        truth: True character, or None if the one read is superfluous or the truth is unknown.
        wrong: Whether to mark the pair as wrong.
    """

    read: str | None
    truth: str | None
    wrong: bool


def align(
    reading: str, truth: str | None, protocol: TextProtocol | None = None
) -> list[CharacterMatch]:
    """Align a reading with the ground truth, with as few differences as possible.

    Args:
        reading: Text that was read.
        truth: Ground truth; if None, nothing is wrong.
        protocol: Protocol that determines which differences count. If None, all count except
            differences in case, and missed or superfluous punctuation, symbols and spaces.

    Returns:
        One match for each character of the reading and each missed one, in reading order.
    """
    if truth is None:
        return [CharacterMatch(read, None, False) for read in reading]
    if protocol is None:
        return _match_characters(reading, truth, str.casefold, _belongs_to_a_word)
    # Characters that do not count are reinserted afterwards, so that they do not shift others.
    matches = []
    rests = deque(reading), deque(truth)
    letters = [[*filter(protocol.reduce, text)] for text in rests]
    for match in _match_characters(*letters, protocol.reduce, bool):
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
    """Remove and return the characters at the beginning of a text that do not count."""
    taken = []
    while rest and not protocol.reduce(rest[0]):
        taken.append(rest.popleft())
    return taken


def _unmarked(read: Iterable[str], truth: Iterable[str]) -> list[CharacterMatch]:
    return [CharacterMatch(*pair, False) for pair in zip_longest(read, truth)]


def _match_characters(
    reading: Sequence[str],
    truth: Sequence[str],
    fold: Callable[[str], str],
    counts: Callable[[str], bool],
) -> list[CharacterMatch]:
    """Pair the characters of two texts with the fewest edits.

    Args:
        reading: Text that was read.
        truth: Ground truth.
        fold: Mapping after which equal characters match.
        counts: Whether it is an error that a character is superfluous or missed.
    """
    matches = []
    # Character by character: folding a whole text may change its length ("ß" to "ss").
    folded = [[fold(character) for character in text] for text in (truth, reading)]
    for step in Levenshtein.opcodes(*folded):
        true = truth[step.src_start : step.src_end]
        read = reading[step.dest_start : step.dest_end]
        if step.tag in ("equal", "replace"):
            wrong = step.tag == "replace"
            matches += [CharacterMatch(*pair, wrong) for pair in zip(read, true, strict=True)]
        else:
            matches += [CharacterMatch(extra, None, counts(extra)) for extra in read]
            matches += [CharacterMatch(None, missed, counts(missed)) for missed in true]
    return matches


def _belongs_to_a_word(character: str) -> bool:
    # Vowel signs of Indic scripts are marks; str.isalnum takes them for neither letters nor digits.
    return unicodedata.category(character)[0] in "LMN"
