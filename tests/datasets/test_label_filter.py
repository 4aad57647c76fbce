from __future__ import annotations

import random
import string

from lpv_mmocr.datasets.label_filter import ALPHANUMERIC, LabelFilter

import pytest


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("Hello", "hello"),
        ("a" * 25, "a" * 25),
        ("a" * 26, None),
        # The raw length counts, including characters that would be dropped.
        ("!" * 20 + "abcdef", None),
        ("!" * 25, ""),
        ("...", ""),
        ("", ""),
        ("Café-2", "caf2"),
        ("Genaxis Theatre", "genaxistheatre"),
        # The length is in characters, not bytes: 25 of three bytes each.
        ("日" * 25, ""),
        ("日" * 26, None),
        # Lower-casing comes before dropping: the Kelvin sign becomes a plain k.
        ("3\u212a", "3k"),
    ],
)
def test_default_filter_is_the_released_one(raw, text):
    assert LabelFilter()(raw) == text


def test_charset_is_the_published_one():
    assert ALPHANUMERIC == "0123456789abcdefghijklmnopqrstuvwxyz"


@pytest.mark.parametrize(
    ("options", "raw", "text"),
    [
        (dict(max_length=None), "a" * 40, "a" * 40),
        (dict(max_length=3), "abcd", None),
        (dict(max_length=1), "A", "a"),
        (dict(max_length=1), "ab", None),
        (dict(charset=None), "A-b", "a-b"),
        (dict(case_sensitive=True, charset=string.ascii_letters), "A-b", "Ab"),
        (dict(case_sensitive=True), "Abc", "bc"),
        (dict(reject_unknown=True), "A-b", None),
        (dict(reject_unknown=True), "Ab", "ab"),
        (dict(normalise_unicode=True), "É2", "e2"),
        (dict(normalise_unicode=True, charset=None), "ﬁn", "fin"),
        # Too long only after decomposition.
        (dict(normalise_unicode=True, max_length=3), "ﬁne", None),
        (dict(remove_whitespace=True, charset=None), " a\tb\u3000c ", "abc"),
        (dict(remove_whitespace=True, reject_unknown=True), "a b", "ab"),
        # White space counts towards the raw length even where it is removed.
        (dict(remove_whitespace=True, max_length=3), "a bc", None),
    ],
)
def test_options_change_the_filtered_label(options, raw, text):
    assert LabelFilter(**options)(raw) == text


@pytest.mark.parametrize(
    "options",
    [
        {},
        dict(max_length=4),
        dict(max_length=None),
        dict(reject_unknown=True),
        dict(normalise_unicode=True, max_length=4),
        dict(charset=None, max_length=4),
        dict(remove_whitespace=True, max_length=4, reject_unknown=True),
    ],
)
def test_quick_check_agrees_with_the_filter(options):
    label_filter = LabelFilter(**options)
    generator = random.Random(0)
    for _ in range(2000):
        raw = "".join(generator.choices("aZ9 -ÉﬁİK日", k=generator.randint(0, 8)))
        assert label_filter.accepts_label(raw.encode()) == (label_filter(raw) is not None), raw


def test_label_that_is_not_utf8_is_left_to_the_reader():
    assert LabelFilter(reject_unknown=True).accepts_label(b"caf\xe9")


def test_min_image_side_applies_to_both_sides():
    label_filter = LabelFilter(min_image_side=8)
    assert label_filter.accepts_size(8, 8)
    assert not label_filter.accepts_size(7, 100)
    assert not label_filter.accepts_size(100, 7)


def test_rejects_samples_depends_on_the_options():
    assert LabelFilter().rejects_samples
    assert not LabelFilter(max_length=None).rejects_samples
    assert LabelFilter(max_length=None, reject_unknown=True).rejects_samples
    assert LabelFilter(max_length=None, min_image_side=1).rejects_samples


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(max_length=0), "max_length must be at least 1"),
        (dict(charset=""), "charset is empty"),
        (dict(charset=None, reject_unknown=True), "reject_unknown needs a charset"),
        (dict(max_length="25"), "max_length .* must be a whole number or None, not"),
        (dict(max_length=2.5), "max_length .* must be a whole number or None, not"),
        (dict(min_image_side=True), "min_image_side .* must be a whole number, not"),
        (dict(case_sensitive="no"), "case_sensitive .* must be True or False, not"),
        (dict(min_image_side=-1), "min_image_side must not be negative"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        LabelFilter(**options)


def test_from_config():
    assert LabelFilter.from_config(None) == LabelFilter()
    assert LabelFilter.from_config(dict(max_length=7)) == LabelFilter(max_length=7)
    label_filter = LabelFilter(charset="ab")
    assert LabelFilter.from_config(label_filter) is label_filter
    with pytest.raises(TypeError, match="no option 'maxlen'; the options are max_length"):
        LabelFilter.from_config(dict(maxlen=7))


@pytest.mark.parametrize(
    ("options", "label", "emptied"),
    [
        ({}, "é", True),
        ({}, "!", False),
        (dict(charset="0123456789"), "hello", True),
        (dict(charset="0123456789"), "a1", False),
        (dict(charset="ABC"), "ABC", True),  # lower-cased first
        (dict(charset="ABC", case_sensitive=True), "ABC", False),
        (dict(charset="ABC", case_sensitive=True), "abc", True),
        (dict(charset=None), "abc", False),
    ],
)
def test_labels_that_become_empty_are_recognised(options, label, emptied):
    assert LabelFilter(**options).empties(label.encode()) == emptied
