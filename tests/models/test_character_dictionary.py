"""Tests of the dictionary given as a string."""

from __future__ import annotations

import string

from lpv_mmocr.models import CharacterDictionary
from lpv_mmocr.models.character_dictionary import silent_classes

import pytest
from mmocr.registry import TASK_UTILS


def test_classes_are_characters_then_start_then_end():
    dictionary = TASK_UTILS.build(
        dict(type="CharacterDictionary", characters=string.digits + string.ascii_lowercase)
    )
    assert dictionary.num_classes == 38
    assert (dictionary.start_idx, dictionary.end_idx) == (36, 37)
    assert dictionary.padding_idx is None
    assert dictionary.str2idx("0az") == [0, 10, 35]
    assert dictionary.idx2str([35, 0]) == "z0"


@pytest.mark.parametrize("characters", [string.printable[:94], "天地 人", "é\u0301"])
def test_round_trip(characters):
    dictionary = CharacterDictionary(characters)
    assert dictionary.idx2str(dictionary.str2idx(characters)) == characters
    assert dictionary.num_classes == len(characters) + 2


@pytest.mark.parametrize(
    ("characters", "message"),
    [("", "string of different characters"), ("aba", r"\['a'\] repeated"), ("a\n", "line breaks")],
)
def test_bad_characters(characters, message):
    with pytest.raises(ValueError, match=message):
        CharacterDictionary(characters)


def test_start_and_padding_are_silent():
    assert silent_classes(CharacterDictionary("ab")) == {2}
    assert silent_classes(CharacterDictionary("ab", with_padding=True)) == {2, 4}
