"""Tests of finding words that are both trained on and validated on."""

from __future__ import annotations

from lpv_mmocr.datasets import LPVLMDBDataset
from lpv_mmocr.datasets.shared_words import find_shared_lmdbs

import pytest
from lmdb_cases import write_words
from mmengine.config import ConfigDict


@pytest.fixture
def tree(tmp_path):
    for name in "ab":
        write_words(tmp_path / "MJ" / name, ["one", "two", "three"])
    return tmp_path / "MJ"


def loader(*datasets: dict) -> ConfigDict:
    return ConfigDict(dataset=dict(type="ConcatDataset", datasets=list(datasets)))


def sample_keys(config: dict) -> set[str]:
    dataset = LPVLMDBDataset(**config)
    return {dataset.get_data_info(i)["sample_key"] for i in range(len(dataset))}


@pytest.mark.parametrize("indices", [None, 2, 4, -1, -2, -3, -5])
@pytest.mark.parametrize("hold_out", [0, 1, 2, 4])
def test_shared_samples_are_found(tree, hold_out, indices):
    training = dict(ann_file=str(tree), hold_out=hold_out)
    validation = dict(ann_file=str(tree), indices=indices, test_mode=True)
    shared = sample_keys(training) & sample_keys(validation)
    expected = [str(tree / "a"), str(tree / "b")] if shared else []
    assert find_shared_lmdbs(loader(training), loader(validation)) == expected


@pytest.mark.parametrize("held_out", [1, 2])
def test_two_parts_without_their_last_samples_share_the_first(tree, held_out):
    training = dict(ann_file=str(tree), hold_out=2)
    validation = dict(ann_file=str(tree), hold_out=held_out, test_mode=True)
    assert sample_keys(training) & sample_keys(validation)
    found = find_shared_lmdbs(loader(training), loader(validation))
    assert found == [str(tree / "a"), str(tree / "b")]


def test_overlapping_folders_are_found(tree, tmp_path):
    (tmp_path / "link").symlink_to(tree)
    whole, part = dict(ann_file=str(tree)), dict(data_root=str(tmp_path / "link"), ann_file="b")
    assert find_shared_lmdbs(loader(whole), loader(part)) == [str(tmp_path / "link" / "b")]
    assert find_shared_lmdbs(loader(part, part), loader(whole, whole)) == [str(tree / "b")]


@pytest.mark.parametrize(
    ("training", "validation"),
    [
        (dict(indices=3), dict(indices=-3)),
        (dict(hold_out=2), dict(indices=[4, 5])),
        (dict(hold_out=3), dict(ann_file="b")),
        (dict(hold_out=2), dict(hold_out=2, indices=-1)),
        (dict(hold_out=2), dict(hold_out=2, indices=-5)),
    ],
)
def test_datasets_that_cannot_be_judged_are_left_out(tree, monkeypatch, training, validation):
    monkeypatch.chdir(tree)
    training, validation = ({"ann_file": ["a", "b"]} | part for part in (training, validation))
    assert find_shared_lmdbs(loader(training), loader(validation)) == []


def test_other_and_missing_folders_share_nothing(tree):
    trained, other = dict(ann_file=str(tree / "a")), dict(ann_file=str(tree / "b"))
    assert find_shared_lmdbs(loader(trained), loader(other, dict(ann_file="gone"))) == []
    assert find_shared_lmdbs(loader(trained), None) == []
