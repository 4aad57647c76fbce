"""Tests of the names of samples."""

from __future__ import annotations

import os

from lpv_mmocr.engine.sample_names import sample_name, truncated

import pytest
from mmocr.structures import TextRecogDataSample


@pytest.mark.parametrize(
    ("meta", "name"),
    [
        (dict(sample_key="a:1", img_path="p"), "a:1"),
        (dict(img_path="p/x.png"), "p/x.png"),
        ({}, ""),
    ],
)
def test_sample_name_is_the_key_or_the_path(meta, name):
    assert sample_name(TextRecogDataSample(metainfo=meta)) == name


@pytest.mark.parametrize(
    ("name", "size", "expected"),
    [("abc", 3, "abc"), ("abc", 2, "ab"), ("aü", 2, "a"), ("ü", 1, "")],
)
def test_names_are_truncated_between_characters(name, size, expected):
    assert truncated(name, size) == expected
    assert len(os.fsencode(expected)) <= size
