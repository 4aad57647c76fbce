"""Tests of showing texts of any script on a page."""

from __future__ import annotations

from lpv_mmocr.evaluation import TextProtocol
from lpv_mmocr.evaluation.text_protocol import ExactText
from lpv_mmocr.reporting.text_display import Run, character_name, compare


def test_names_tell_lookalikes_apart():
    assert character_name("O") == "U+004F LATIN CAPITAL LETTER O"
    assert character_name("\u041e") == "U+041E CYRILLIC CAPITAL LETTER O"
    assert character_name("\x00") == "U+0000"


class TestCompare:
    def test_characters_that_do_not_count_are_not_marked(self):
        label, text = compare("It's-HERE", "its here!", TextProtocol())
        assert label == [Run("It's-HERE", False)]
        assert text == [Run("its␣here!", False)]

    def test_marks_replaced_missing_and_extra(self):
        label, text = compare("Hallo", "hello2", TextProtocol())
        assert label == [Run("H", False), Run("a", True), Run("llo", False)]
        assert text == [Run("h", False), Run("e", True), Run("llo", False), Run("2", True)]
        label, text = compare("coat", "cat", TextProtocol())
        assert label == [Run("c", False), Run("o", True), Run("at", False)]
        assert text == [Run("cat", False)]

    def test_empty_text_has_no_runs(self):
        assert compare("", "x", ExactText()) == ([], [Run("x", True)])
        assert compare("", "", ExactText()) == ([], [])

    def test_letter_that_is_longer_in_lower_case(self):
        label, text = compare("İa", "b", TextProtocol())
        assert "".join(run.text for run in label) == "İa"
        assert text == [Run("b", True)]
