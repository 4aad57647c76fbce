from __future__ import annotations

import json
import logging
from pathlib import Path

from lpv_mmocr.datasets.transforms import LoadWordImage

import cv2
import numpy as np
import pytest
from inference_cases import noise
from mmocr.registry import DATASETS, TRANSFORMS


@pytest.fixture
def load():
    return TRANSFORMS.build(dict(type="LoadWordImage"))


@pytest.mark.parametrize("path_type", [str, Path])
def test_file_is_loaded(load, tmp_path, path_type):
    cv2.imwrite(str(tmp_path / "word.png"), noise())
    results = load(path_type(tmp_path / "word.png"))
    assert results["img_path"] == str(tmp_path / "word.png")
    assert results["bad_sample"] is False
    np.testing.assert_array_equal(results["img"], noise())


CUT = cv2.imencode(".jpg", noise())[1].tobytes()[:-100]


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"noise", "cannot be decoded"), (b"", "its image is empty"), (CUT, "was cut short")],
)
def test_unreadable_file_is_named_and_marked(load, tmp_path, monkeypatch, content, reason):
    lines = []
    monkeypatch.setattr(
        "lpv_mmocr.datasets.transforms.word_image.print_log",
        lambda message, logger, level: lines.append((message, level)),
    )
    (tmp_path / "word.png").write_bytes(content)
    results = load(str(tmp_path / "word.png"))
    assert results["bad_sample"] is True
    assert results["img"].shape == (32, 100, 3)
    ((message, level),) = lines
    assert message.startswith(f"{tmp_path}/word.png cannot be read")
    assert reason in message
    assert level == logging.WARNING


def test_missing_file_is_named(load, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"word\.png"):
        load(str(tmp_path / "word.png"))


def test_samples_of_datasets_pass_unchanged(load):
    for sample in (
        dict(img=noise(), sample_key="SVT:1", bad_sample=True),
        dict(img_path=None, sample_key="SVT:1"),
    ):
        assert load(sample) is sample


def test_file_of_a_sample_is_loaded(load, tmp_path):
    cv2.imwrite(str(tmp_path / "word.png"), noise())
    sample = dict(img_path=str(tmp_path / "word.png"), instances=[dict(text="a")])
    loaded = load(sample)
    np.testing.assert_array_equal(loaded.pop("img"), noise())
    assert loaded == dict(sample, bad_sample=False)


def test_test_pipeline_serves_mmocrs_datasets(tmp_path):
    cv2.imwrite(str(tmp_path / "word.png"), noise())
    labels = dict(
        metainfo=dict(dataset_type="TextRecogDataset", task_name="textrecog"),
        data_list=[dict(img_path="word.png", instances=[dict(text="Sale")])],
    )
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    steps = [
        dict(type="LoadWordImage"),
        dict(type="LoadImageFromNDArray"),
        dict(type="LoadOCRAnnotations", with_text=True),
        dict(type="PackWordInputs", meta_keys=("img_path", "img_shape")),
    ]
    files = dict(type="OCRDataset", data_root=str(tmp_path), ann_file="labels.json")
    (packed,) = DATASETS.build(dict(files, pipeline=steps, test_mode=True, _scope_="mmocr"))
    np.testing.assert_array_equal(packed["inputs"].permute(1, 2, 0), noise())
    sample = packed["data_samples"]
    assert (sample.gt_text.item, sample.img_path) == ("Sale", str(tmp_path / "word.png"))
    assert sample.img_shape == noise().shape[:2] and sample.bad_sample is False


def test_colour_array_is_not_copied(load):
    image = noise()
    assert load(image)["img"] is image or np.shares_memory(load(image)["img"], image)


def test_16_bits_keep_their_upper_half():
    deep = np.array([[[0, 255, 256], [65535, 32767, 511]]], np.uint16)
    expected = np.array([[[0, 0, 1], [255, 127, 1]]], np.uint8)
    np.testing.assert_array_equal(LoadWordImage()(deep)["img"], expected)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(5, np.uint8), r"shape \(5,\) is not an image"),
        (np.zeros((5, 5, 2), np.uint8), r"shape \(5, 5, 2\) is not an image"),
        (np.zeros((1, 5, 5, 3), np.uint8), r"shape \(1, 5, 5, 3\) is not an image"),
        (np.zeros((5, 5, 3), np.float32), "type float32 could mean several ranges"),
        (np.zeros((5, 5), bool), "type bool could mean several ranges"),
    ],
)
def test_array_that_is_no_image_is_refused(load, array, message):
    with pytest.raises(ValueError, match=message):
        load(array)


@pytest.mark.parametrize("shape", [(0, 5, 3), (5, 0), (0, 0, 4)])
def test_empty_crop_is_marked_as_bad(load, shape):
    """Boxes of a detector may be thinner than a pixel, or outside the image."""
    loaded = load(np.zeros(shape, np.uint8))
    assert loaded["bad_sample"]
    assert loaded["img"].shape == (32, 100, 3)
