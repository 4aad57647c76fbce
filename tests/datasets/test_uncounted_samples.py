"""Tests of finding samples that ``num-samples`` leaves out."""

from __future__ import annotations

from lpv_mmocr.datasets import LPVLMDBDataset, uncounted_samples
from lpv_mmocr.datasets.conversion import lmdb_to_labels
from lpv_mmocr.datasets.lmdb_statistics import gather_statistics

import pytest
from lmdb_cases import edit, make_image, write_words


@pytest.fixture
def too_few(tmp_path):
    return edit(write_words(tmp_path / "few", ["a", "b", "c"]), {b"num-samples": b"2"})


@pytest.fixture
def from_zero(tmp_path):
    first = {b"image-000000000": make_image(), b"label-000000000": b"zero"}
    return edit(write_words(tmp_path / "zero", ["a", "b"]), first)


def test_only_left_out_samples_are_found(too_few, from_zero, tmp_path):
    find = uncounted_samples.uncounted_samples
    assert find(str(too_few), 2) == ["image-000000003", "label-000000003"]
    assert find(str(from_zero), 2) == ["image-000000000", "label-000000000"]
    assert find(str(write_words(tmp_path / "whole", ["a"])), 1) == []


@pytest.fixture
def logged(monkeypatch):
    messages = []
    monkeypatch.setattr(
        uncounted_samples, "print_log", lambda message, **options: messages.append(message)
    )
    return messages


def test_dataset_warns_of_them(too_few, logged):
    assert len(LPVLMDBDataset(ann_file=str(too_few), test_mode=True)) == 2
    (message,) = logged
    assert "holds image-000000003 and label-000000003, but its num-samples is 2" in message


def test_conversion_to_files_warns_of_them(too_few, logged, tmp_path):
    assert lmdb_to_labels(too_few, tmp_path / "out").written == 2
    (message,) = logged
    assert "holds image-000000003 and label-000000003, but its num-samples is 2" in message


def test_statistics_list_them_as_bad(from_zero):
    found = gather_statistics(from_zero)
    assert found.bad_count == 2
    assert found.bad[0][0].endswith(":image-000000000")
    assert "num-samples is 2" in found.bad[0][1]
