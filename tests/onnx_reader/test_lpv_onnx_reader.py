"""Tests of readings against those of MMOCR's inferencer."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from lpv_mmocr.datasets import LPVLMDBDataset
from lpv_mmocr.models.cpa_postprocessor import CPAPostprocessor

import cv2
import numpy as np
import pytest
import torch
from apis.inference_cases import noise
from lpv_cases import DICTIONARY, word_sample


def test_readings_match_the_inferencer(inferencer, reader, tmp_path):
    paths = []
    for number in range(7):
        paths.append(tmp_path / f"{number}.png")
        cv2.imwrite(str(paths[-1]), noise(seed=number))
    samples = inferencer([str(path) for path in paths], return_datasamples=True)["predictions"]
    readings = reader(paths)
    assert [reading.source for reading in readings] == [str(path) for path in paths]
    assert len({reading.text for reading in readings}) > 2
    for reading, sample in zip(readings, samples, strict=True):
        assert reading.text == sample.pred_text.item
        expected = sample.pred_text.score if reading.text else []
        np.testing.assert_allclose(reading.scores, expected, atol=1e-4)
        assert reading.confidence == pytest.approx(sample.pred_text.word_score, rel=1e-3)
        assert reading.attention.shape[:2] == (3, 27)
        np.testing.assert_allclose(reading.attention.sum((-2, -1)), 1, rtol=1e-4)
    (single,) = reader(str(paths[2]))
    assert single.text == readings[2].text


@pytest.mark.slow
@pytest.mark.skipif("LPV_REAL_DATA" not in os.environ, reason="LPV_REAL_DATA is not set")
def test_readings_of_a_thousand_real_words_match(inferencer, reader, tmp_path):
    folder = tmp_path / "words"
    shutil.copytree(Path(os.environ["LPV_REAL_DATA"], "IIIT5K_train"), folder)
    words = LPVLMDBDataset(ann_file=str(folder), test_mode=True)
    encoded = [words.get_data_info(index)["img_bytes"] for index in range(1000)]
    images = [cv2.imdecode(np.frombuffer(word, np.uint8), cv2.IMREAD_COLOR) for word in encoded]
    expected = inferencer(images, batch_size=50, progress_bar=False)["predictions"]
    texts = [reading.text for reading in reader.iterate(encoded)]
    assert len(set(texts)) > 10
    differing = [
        (text, prediction["text"])
        for text, prediction in zip(texts, expected, strict=True)
        if text != prediction["text"]
    ]
    # Of 26,000 characters read by random weights, rounding may decide one.
    assert len(differing) <= 1, differing


class TestDecoding:
    @pytest.fixture
    def decode(self, reader, monkeypatch):
        """Return a function that decodes logits (N, T, C) with the reader and the postprocessor."""

        def both(logits: np.ndarray) -> tuple[list, list]:
            monkeypatch.setattr(reader, "run", lambda images: [logits[: len(images)]])
            monkeypatch.setattr(reader, "batch_size", len(logits))
            ours = reader([noise()] * len(logits))
            postprocessor = CPAPostprocessor(DICTIONARY)
            samples = [word_sample() for _ in logits]
            theirs = postprocessor(torch.from_numpy(logits).softmax(-1), samples)
            return ours, [sample.pred_text for sample in theirs]

        return both

    def logits(self, classes: list[list[int]]) -> np.ndarray:
        found = np.random.default_rng(0).normal(0, 1, (len(classes), 27, 38)).astype(np.float32)
        for word, row in enumerate(classes):
            for position, index in enumerate(row):
                found[word, position, index] = 8
        return found

    def test_padding_class_prints_nothing(self, reader, monkeypatch):
        logits = self.logits([[36, 10, 5, 11, 37]])
        monkeypatch.setattr(reader, "run", lambda images: [logits])
        monkeypatch.setitem(reader.metadata, "padding", 5)
        assert reader([noise()])[0].text == "ab"

    @pytest.mark.parametrize(
        ("classes", "text"),
        [
            ([36, 10, 11, 37, 12, 37], "ab"),
            ([36, 37, 10, 10], ""),
            ([36, 10, 36, 11, 37], "ab"),  # the start class is not printed
            ([36, *[12] * 26], "c" * 26),  # no end
            ([37, 10, 37], "a"),  # position 0 is not read
        ],
    )
    def test_decoding_rules_match_the_postprocessor(self, decode, classes, text):
        ours, theirs = decode(self.logits([classes]))
        assert ours[0].text == theirs[0].item == text
        # For an empty text MMOCR needs one score, that of the end.
        assert ours[0].scores == pytest.approx(theirs[0].score if text else (), rel=1e-5)
        assert len(ours[0].scores) == len(text)
        assert ours[0].confidence == pytest.approx(theirs[0].word_score, rel=1e-5)

    def test_nan_is_no_confidence(self, decode):
        (reading, *_), _ = decode(np.full((1, 27, 38), np.nan, np.float32))
        assert reading.confidence == 0 and set(reading.scores) == {0.0}

    def test_maps_follow_the_characters_of_the_text(self, reader, monkeypatch):
        """The last stage has the order described in :attr:`CPADecoder.keep_attention`."""
        maps = np.broadcast_to(np.arange(27, dtype=np.float32)[:, None, None], (1, 3, 27, 2, 5))
        logits = self.logits([[36, 10, 36, 11, 37]])
        monkeypatch.setattr(reader, "run", lambda images: [logits, maps])
        (reading,) = reader(noise())
        assert reading.text == "ab"
        first, _, last = reading.attention[..., 0, 0].astype(int).tolist()
        assert first == [*range(27)]
        assert last[:3] == [0, 1, 3] and sorted(last) == first

    def test_random_logits_match_the_postprocessor(self, decode):
        rng = np.random.default_rng(1)
        ours, theirs = decode(rng.normal(0, 3, (40, 27, 38)).astype(np.float32))
        for mine, other in zip(ours, theirs, strict=True):
            assert mine.text == other.item
            assert mine.scores == pytest.approx(other.score if mine.text else (), rel=1e-5)
            assert mine.confidence == pytest.approx(other.word_score, rel=1e-4)
