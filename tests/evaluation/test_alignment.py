from __future__ import annotations

import random
from functools import cache

from lpv_mmocr.evaluation import TextProtocol
from lpv_mmocr.evaluation.alignment import CharacterMatch, align

import pytest


def described(reading: str, truth: str | None, protocol: TextProtocol | None = None) -> str:
    """Return the pair of characters of each match, with "!" after wrong ones."""
    return " ".join(
        f"{match.read or '-'}{match.truth or '-'}{'!' if match.wrong else ''}"
        for match in align(reading, truth, protocol)
    )


@pytest.mark.parametrize(
    ("reading", "truth", "expected"),
    [
        ("abc", "abc", "aa bb cc"),
        ("abc", "ABC", "aA bB cC"),
        ("hause", "house", "hh ao! uu ss ee"),
        # Characters after a missed or an extra one are still right.
        ("hose", "house", "hh oo -u! ss ee"),
        ("houuse", "house", "hh oo u-! uu ss ee"),
        ("its", "It's", "iI tt -' ss"),
        ("", "ab", "-a! -b!"),
        ("ab", "", "a-! b-!"),
        ("straße", "STRASSE", "sS tT rR aA ßS! -S! eE"),
        ("你好", "你们", "你你 好们!"),
        ("नमसते", "नमस्ते", "नन मम सस -्! तत ेे"),
    ],
)
def test_characters_are_aligned(reading, truth, expected):
    found = described(reading, truth)
    if "uu" in expected and "u-!" in expected:  # either of two equal letters may be the extra one
        found = found.replace("uu u-!", "u-! uu")
    if "ßS!" in expected:
        found = found.replace("-S! ßS!", "ßS! -S!")
    assert found == expected


def test_without_truth_nothing_is_wrong():
    assert align("ab", None) == [CharacterMatch("a", None, False), CharacterMatch("b", None, False)]


def test_protocol_determines_what_is_wrong():
    without_case, with_case = TextProtocol(), TextProtocol(case_sensitive=True)
    assert described("a-b", "A.bé", without_case) == "aA -. bb -é"
    assert described("a-b", "A.bé", with_case) == "aA! -.! bb -é"
    assert described("it's", "its", with_case) == "ii tt '-! ss"
    # Characters that do not count do not shift those that do.
    assert described("a'", "'a", without_case) == "-' aa '-"


def test_a_match_is_wrong_only_if_reduced_texts_differ():
    draw = random.Random(0)
    for protocol in (TextProtocol(), TextProtocol(case_sensitive=True)):
        for _ in range(1000):
            reading, truth = ("".join(draw.choices("aAb'é-", k=draw.randint(0, 5))) for _ in "rt")
            matches = align(reading, truth, protocol)
            wrong = protocol.reduce(reading) != protocol.reduce(truth)
            assert any(match.wrong for match in matches) == wrong
            assert "".join(match.read or "" for match in matches) == reading
            assert "".join(match.truth or "" for match in matches) == truth


def distance(truth: str, reading: str) -> int:
    """Return the Levenshtein distance, computed by its definition."""

    @cache
    def tail(i: int, j: int) -> int:
        if i == len(truth) or j == len(reading):
            return len(truth) - i + len(reading) - j
        if truth[i] == reading[j]:
            return tail(i + 1, j + 1)
        return 1 + min(tail(i + 1, j), tail(i, j + 1), tail(i + 1, j + 1))

    return tail(0, 0)


def test_alignment_has_both_texts_and_fewest_edits():
    numbers = random.Random(1)
    for _ in range(200):
        truth, reading = (
            "".join(numbers.choices("abc中", k=numbers.randint(0, 7))) for _ in range(2)
        )
        matches = align(reading, truth)
        assert "".join(match.truth or "" for match in matches) == truth
        assert "".join(match.read or "" for match in matches) == reading
        assert all(match.wrong == (match.truth != match.read) for match in matches)
        assert sum(match.wrong for match in matches) == distance(truth, reading)
