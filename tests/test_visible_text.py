"""Tests of making invisible characters visible."""

from __future__ import annotations

from lpv_mmocr.visible_text import code_point, listed, single, visible

import pytest


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("漢 字", "漢␣字"),
        ("a\u202eb\x00", "aU+202EbU+0000"),
        ("\u00a0\u200d\n", "U+00A0U+200DU+000A"),
        ("", ""),
    ],
)
def test_invisible_characters_are_named(text, shown):
    assert visible(text) == shown


def test_single_marks_are_shown_on_a_circle():
    assert single("\u0301") == "◌\u0301"
    assert single("e") == "e"


@pytest.mark.parametrize(("character", "shown"), [("A", "U+0041"), ("\U0001f9ff", "U+1F9FF")])
def test_code_points_have_four_digits_at_least(character, shown):
    assert code_point(character) == shown


def test_invisible_characters_are_listed_in_a_visible_form():
    assert listed(" \u0306\u200b") == "␣ ◌\u0306 U+200B"
    assert listed("a" * 21) == " ".join("a" * 20) + " ..."
