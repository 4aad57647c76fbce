from __future__ import annotations

from lpv_mmocr.benchmark.samples import packed_sample
from lpv_mmocr.cli import InputError

import pytest
from mmengine.config import Config

PACK = dict(type="PackTextRecogInputs", meta_keys=("img_shape", "ori_shape", "instances"))


def steps(width: int) -> list[dict]:
    return [dict(type="LoadImageFromFile"), dict(type="Resize", scale=(width, 32)), PACK]


def test_test_dataloader_pipeline_takes_precedence():
    cfg = Config(dict(model=dict(), test_pipeline=steps(100)))
    assert packed_sample(cfg)["inputs"].shape == (3, 32, 100)
    cfg.test_dataloader = dict(dataset=dict(pipeline=steps(200)))
    assert packed_sample(cfg)["inputs"].shape == (3, 32, 200)


def test_unknown_image_size_is_refused():
    with pytest.raises(InputError, match="has no test pipeline, and its encoder no img_size"):
        packed_sample(Config(dict(model=dict())))
