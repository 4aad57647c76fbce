from __future__ import annotations

from lpv_mmocr.visualization.alignment import CharacterMatch, align

import pytest


def described(reading: str, truth: str | None) -> str:
    """One word for each match, with a mark behind wrong ones."""
    return " ".join(
        f"{match.read or '-'}{match.truth or '-'}{'!' if match.wrong else ''}"
        for match in align(reading, truth)
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
