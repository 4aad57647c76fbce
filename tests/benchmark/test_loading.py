"""Tests of the loader task: time by step, augmentation on and off, workers."""

from __future__ import annotations

from lpv_mmocr.benchmark.loading import children_memory, run_loading, write_words
from lpv_mmocr.benchmark.specification import Specification, parse_adapter, parse_model
from lpv_mmocr.benchmark.tasks import check
from lpv_mmocr.cli import InputError
from lpv_mmocr.datasets import LPVLMDBDataset, close_environments
from lpv_mmocr.datasets import lmdb_dataset as lmdb_dataset_module

import pytest
import torch


@pytest.fixture
def words(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_words(tmp_path / "words", 8)
    yield tmp_path / "words"
    close_environments()


def test_drawn_words_are_a_dataset(words):
    dataset = LPVLMDBDataset(ann_file=str(words))
    sample = dataset[0]
    assert len(dataset) == 8
    assert sample["img"].shape == (32, 100, 3)
    assert 3 <= len(sample["instances"][0]["text"]) <= 12


def test_time_is_divided_by_step(toy_file, words, quick):
    decode = lmdb_dataset_module.decode_image
    augmented, plain = run_loading([parse_model(toy_file)], words, [0], quick)
    assert augmented.augmented and not plain.augmented
    steps = {"read", "decode", "Resize", "PackWordInputs", "collate", "to the device"}
    assert steps < plain.shares.keys()
    assert plain.shares.keys() | {"TextAugment"} == augmented.shares.keys()
    for measurement in (augmented, plain):
        assert sum(measurement.shares.values()) == pytest.approx(1)
        assert len(measurement.rates) == quick.rounds
        assert measurement.start_up is None
    assert lmdb_dataset_module.decode_image is decode


def test_adapters_have_no_loader(adapter_file, words, quick):
    with pytest.raises(InputError, match="flat has no train_pipeline"):
        run_loading([parse_adapter(f"{adapter_file}:flat")], words, [0], quick)


def test_workers_report_rate_start_up_and_memory(toy_file, words, quick):
    for measurement in run_loading([parse_model(toy_file)], words, [1], quick):
        assert measurement.rate.median > 0
        assert measurement.start_up > 0
        assert measurement.memory > 1 << 20
        assert not measurement.shares


def test_memory_without_children_is_zero(tmp_path):
    assert children_memory(tmp_path) == 0


def test_models_with_the_same_data_are_measured_once(toy_file, words, quick):
    specs = [parse_model(f"{toy_file}{switches}") for switches in ("", ":deploy", ":bf16")]
    found = run_loading(specs, words, [0], quick)
    assert [measurement.model for measurement in found] == [specs[0].label] * 2


def test_onnx_files_have_no_loader():
    exported = Specification("onnx:a.onnx", onnx=("a.onnx", "onnxruntime"))
    with pytest.raises(InputError, match=r"onnx:a\.onnx: an ONNX file has no data pipeline"):
        check(["loader"], [exported], torch.device("cpu"))
