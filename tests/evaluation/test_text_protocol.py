from __future__ import annotations

import random
import re
import string

from lpv_mmocr.evaluation import TextProtocol

import pytest
from mmocr.evaluation.metrics import WordMetric

CHARACTERS = string.printable + "éßÀ字½"


def levenshtein(a: str, b: str) -> int:
    """Return the Levenshtein distance from the textbook table, filled cell by cell."""
    table = {(i, 0): i for i in range(len(a) + 1)} | {(0, j): j for j in range(len(b) + 1)}
    for i, x in enumerate(a, 1):
        for j, y in enumerate(b, 1):
            table[i, j] = min(
                table[i - 1, j] + 1, table[i, j - 1] + 1, table[i - 1, j - 1] + (x != y)
            )
    return table[len(a), len(b)]


@pytest.mark.parametrize(
    ("case_sensitive", "text", "reduced"),
    [
        (False, "It's", "its"),
        (False, "x^2", "x2"),
        (False, "^", ""),
        (False, "caf\u00e9 字", "caf"),
        (False, "", ""),
        (True, "It's", "It's"),
        (True, "x^2 {~}|", "x^2{~}|"),
        (True, "Caf\u00e9\t9", "Caf9"),
    ],
)
def test_reduce_keeps_only_characters_that_count(case_sensitive, text, reduced):
    assert TextProtocol(case_sensitive=case_sensitive).reduce(text) == reduced


def test_reduce_on_all_ascii_characters():
    every = "".join(map(chr, range(128)))
    assert TextProtocol().reduce(every) == string.digits + 2 * string.ascii_lowercase
    assert TextProtocol(case_sensitive=True).reduce(every) == "".join(map(chr, range(33, 127)))


def test_caret_is_dropped_unlike_by_mmocr():
    kept = WordMetric().valid_symbol.sub("", "x^2")
    assert kept == "x^2"
    assert TextProtocol().reduce("x^2") == TextProtocol().reduce("X2")


@pytest.mark.parametrize("case_sensitive", [False, True])
def test_similarity_matches_textbook_distance(case_sensitive):
    protocol = TextProtocol(case_sensitive=case_sensitive)
    unwanted = r"[^!-~]" if case_sensitive else r"[^0-9a-z]"
    generator = random.Random(1)
    for _ in range(300):
        texts = ["".join(generator.choices(CHARACTERS, k=generator.randrange(9))) for _ in "ab"]
        if generator.random() < 0.5:
            texts[1] = texts[0][: generator.randrange(9)].swapcase() + texts[1][:2]
        a, b = (re.sub(unwanted, "", t if case_sensitive else t.lower()) for t in texts)
        expected = 1 - levenshtein(a, b) / max(len(a), len(b), 1)
        assert protocol.similarity(*texts) == pytest.approx(expected, abs=1e-15)


def test_protocol_names_differ():
    assert TextProtocol().name != TextProtocol(case_sensitive=True).name
