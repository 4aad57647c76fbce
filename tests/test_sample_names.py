"""Tests of the names of samples."""

from __future__ import annotations

from lpv_mmocr.sample_names import sample_name

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
