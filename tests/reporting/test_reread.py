"""Tests of reading the worst errors again."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

from lpv_mmocr.evaluation import TextProtocol
from lpv_mmocr.reporting import WordResult
from lpv_mmocr.reporting.reread import WordImages, read_again

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmengine.structures import LabelData
from mmocr.registry import MODELS
from mmocr.structures import TextRecogDataSample


@pytest.fixture(scope="module")
def loader(bench):
    return Runner.build_dataloader(Config.fromfile(bench / "bench.py").test_dataloader)


@pytest.fixture(scope="module")
def model(bench):
    return MODELS.build(Config.fromfile(bench / "bench.py").model).eval()


WORD = WordResult(index=3, key="svt:image-000000004", label="6789", text="1")


def test_word_has_image_and_attention(model, loader):
    (images,) = read_again(model, loader, [WORD], TextProtocol())
    assert images.image.shape[2] == 3
    assert images.attention.shape[0] > images.image.shape[0]
    assert model.decoder.keep_attention is False


def test_another_word_at_the_index_is_not_shown(model, loader):
    others = [replace(WORD, index=2), replace(WORD, label="6788")]
    assert read_again(model, loader, others, TextProtocol()) == [WordImages(None, None)] * 2


def test_deployed_model_keeps_no_attention(model, loader):
    (images,) = read_again(model.to_deploy(), loader, [WORD], TextProtocol())
    assert images.image is not None
    assert images.attention is None


def test_attention_is_off_again_after_an_error(model, loader):
    with pytest.raises(IndexError):
        read_again(model, loader, [replace(WORD, index=10**6)], TextProtocol())
    assert model.decoder.keep_attention is False


class _AnyModel:
    """Model that accepts any image and predicts nothing."""

    def test_step(self, data):
        return data["data_samples"]


def test_grey_word_of_another_model_is_shown():
    sample = TextRecogDataSample(gt_text=LabelData(item="word"))
    grey = torch.arange(6, dtype=torch.uint8).view(1, 2, 3)
    loader = SimpleNamespace(
        dataset=[dict(inputs=grey, data_samples=sample)],
        collate_fn=lambda items: {key: [item[key] for item in items] for key in items[0]},
    )
    word = WordResult(index=0, key="", label="word", text="ward")
    (images,) = read_again(_AnyModel(), loader, [word], TextProtocol())
    np.testing.assert_array_equal(images.image, np.arange(6).reshape(2, 3, 1).repeat(3, axis=2))
    assert images.attention is None
