"""Tests of looks made without OpenCV against those made with it."""

from __future__ import annotations

from lpv_mmocr.datasets.transforms.word_look import LOOKS, WordLook
from lpv_mmocr.reading.looks import read_with_tta

import cv2
import numpy as np
import pytest
from apis.inference_cases import noise
from onnx_reader.encoded_images import smooth
from PIL import Image

import lpv_onnx

SIZES = [(24, 70), (70, 24), (31, 31), (4, 4), (1, 1)]
EACH_LOOK = pytest.mark.parametrize("number", range(len(LOOKS)))


def ours(look: WordLook) -> lpv_onnx.Look:
    return lpv_onnx.Look(look.matrix.tolist(), look.margin, look.tall_only)


@pytest.mark.parametrize("size", SIZES, ids=str)
@EACH_LOOK
def test_looks_match_those_of_lpv_mmocr(number, size):
    look, image = LOOKS[number], smooth(32, 76)[: size[0], : size[1]]
    image = np.resize(image, (*size, 3))
    seen = ours(look)(Image.fromarray(image))
    if not look.applies(image):
        assert seen is None
        return
    expected, _ = look.look(image)
    # OpenCV may round positions to 1/32 of a pixel.
    np.testing.assert_allclose(np.asarray(seen), expected, rtol=0, atol=8)
    assert np.abs(np.asarray(seen) - expected.astype(int)).mean() < 1


@pytest.mark.parametrize("size", [(1600, 1200), (1200, 1600), (40, 3000)], ids=str)
@EACH_LOOK
def test_looks_of_large_images_are_downscaled(number, size):
    look = LOOKS[number]
    height, width = size
    # Steps wide enough to survive downscaling, since OpenCV and Pillow average pixels differently.
    across = np.linspace(0, 200, width)[None, :, None] + np.linspace(0, 50, height)[:, None, None]
    image = np.broadcast_to(across, (*size, 3)).astype(np.uint8)
    seen = ours(look)(Image.fromarray(image))
    if not look.applies(image):
        assert seen is None
        return
    expected, _ = look.look(image)
    assert max(seen.size) < 2 * 1024
    np.testing.assert_allclose(np.asarray(seen), expected, rtol=0, atol=3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(matrix=[[1, 0, 0], [0, 1, 0]]), "two rows of two numbers"),
        (dict(matrix=np.eye(2), margin=[0]), "margin two numbers"),
        (dict(matrix=[[1, np.nan], [0, 1]]), "must be finite"),
        (dict(matrix=[[1, 2], [2, 4]]), "matrix invertible"),
        (dict(matrix=np.eye(2), margin=[0, -0.5]), "above -0.5, at which nothing is left"),
    ],
)
def test_bad_looks_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        lpv_onnx.Look(**options)


def test_reading_at_confidence_sure_is_not_repeated():
    looks = [lambda word: pytest.fail("looked at again")]
    read = lpv_onnx.read_with_tta(list, [0.8], looks, confidence=float, sure=0.8)
    assert read == [(0.8, 0.8)]


def test_tta_matches_the_reader_of_checkpoints(inferencer, model_file):
    def read(images: list[np.ndarray]) -> list:
        return inferencer(images, return_datasamples=True, progress_bar=False)["predictions"]

    images = [cv2.resize(noise(6, 18, seed=n), (70, 24 + 20 * n)) for n in range(5)]
    once = lpv_onnx.Reader(model_file, threads=1, tta=False)(images)
    readings = lpv_onnx.Reader(model_file, threads=1, batch_size=2)(images)
    seen = read_with_tta(read, images)
    changed = 0
    for given, reading, first, word in zip(images, readings, once, seen, strict=True):
        assert reading.confidence == pytest.approx(word.sample.pred_text.word_score, rel=0.02)
        assert reading.text == word.sample.pred_text.item
        assert reading.confidence >= first.confidence
        # The attention belongs to the view that was read.
        assert reading.image.size == word.image.shape[1::-1]
        assert first.image.size == given.shape[1::-1]
        changed += word.image is not given
    assert changed >= 3  # with random weights, no reading is confident
