from __future__ import annotations

from lpv_mmocr.evaluation import TextProtocol
from lpv_mmocr.visualization.alignment import CharacterMatch, align

import pytest


def described(reading: str, truth: str | None, protocol: TextProtocol | None = None) -> str:
    """One word for each match, with a mark behind wrong ones."""
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
        # Characters behind a missed or an extra one are still right.
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
def test_alignment(reading, truth, expected):
    found = described(reading, truth)
    if "uu" in expected and "u-!" in expected:  # either of two equal letters is the extra one
        found = found.replace("uu u-!", "u-! uu")
    if "ßS!" in expected:
        found = found.replace("-S! ßS!", "ßS! -S!")
    assert found == expected


def test_without_truth_nothing_is_wrong():
    assert align("ab", None) == [CharacterMatch("a", None, False), CharacterMatch("b", None, False)]


def test_what_counts_is_up_to_the_protocol():
    without_case, with_case = TextProtocol(), TextProtocol(case_sensitive=True)
    assert described("a-b", "A.bé", without_case) == "aA -. bb -é"
    assert described("a-b", "A.bé", with_case) == "aA! -.! bb -é"
    assert described("it's", "its", with_case) == "ii tt '-! ss"
