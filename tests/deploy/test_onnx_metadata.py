"""Tests of the metadata that the reader of ONNX files needs from a config."""

from __future__ import annotations

import json

from lpv_mmocr.datasets.transforms.word_look import LOOKS
from lpv_mmocr.deploy import to_deploy
from lpv_mmocr.deploy.onnx_metadata import Preprocessing, describe, encode
from lpv_mmocr.models.best_look_tta import SURE
from lpv_mmocr.version import __version__

import pytest
import torch
from lpv_cases import build_toy
from mmengine.config import Config

CONFIGS = "lpv_mmocr::textrecog/lpv/{}.py"
RESIZE = dict(type="Resize", scale=(100, 32), backend="pillow", interpolation="bicubic")


def config(*steps: dict, **data_preprocessor) -> Config:
    return Config(dict(model=dict(data_preprocessor=data_preprocessor), test_pipeline=list(steps)))


@pytest.mark.parametrize(
    ("name", "size"),
    [("lpv-tiny_stage2_10e_st_mj", (32, 100)), ("lpv-base_stage1_10e_st_mj", (48, 160))],
)
def test_preprocessing_of_released_configs(name, size):
    found = Preprocessing.of(Config.fromfile(CONFIGS.format(name)))
    assert found == Preprocessing(*size, "bicubic", (0, 0, 0), (255, 255, 255), "rgb")
    assert found.shape == (3, *size)


def test_orientation_may_be_ignored_by_the_pipeline():
    load = dict(type="LoadImageFromFile", color_type="color_ignore_orientation")
    assert Preprocessing.of(config(load, RESIZE)) == Preprocessing.of(config(RESIZE))


def test_either_option_swaps_red_and_blue():
    assert Preprocessing.of(config(RESIZE)).channels == "bgr"
    assert Preprocessing.of(config(RESIZE, bgr_to_rgb=True)).channels == "rgb"
    assert Preprocessing.of(config(RESIZE, rgb_to_bgr=True)).channels == "rgb"


def test_keep_ratio_settings_are_read():
    found = Preprocessing.of(
        Config.fromfile(CONFIGS.format("lpv-tiny_stage1_10e_st_mj_keep-ratio"))
    )
    assert (found.height, found.width) == (32, 100)
    assert found.keep_ratio == dict(min_width=4, max_width=100, divisor=1, fill=0)


def test_normalisation():
    settings = Preprocessing(1, 2, "bicubic", (1.0, 2.0, 3.0), (2.0, 4.0, 8.0), "rgb")
    image = torch.tensor([[[3, 5]], [[2, 6]], [[11, 3]]], dtype=torch.uint8)
    expected = torch.tensor([[[[1.0, 2.0]], [[0.0, 1.0]], [[1.0, 0.0]]]])
    assert torch.equal(settings.normalise([image]), expected)


@pytest.mark.parametrize(
    ("cfg", "message"),
    [
        (Config(dict(model=dict())), "has no test pipeline"),
        (
            config(dict(type="LoadImageFromFile", color_type="grayscale"), RESIZE),
            "LoadImageFromFile in the test pipeline has color_type='grayscale'; .* needs 'color'",
        ),
        (config(dict(type="LoadImageFromFile", to_float32=True), RESIZE), "to_float32=True"),
        (config(RESIZE, dict(type="FixInvertedText")), "the test pipeline has Resize, FixInverted"),
        (config(dict(RESIZE, backend="cv2")), "resizes with cv2's bicubic; .* Pillow alone"),
        (config(dict(RESIZE, interpolation="area")), "resizes with pillow's area"),
        (config(dict(RESIZE, scale_factor=2)), "does not support scale_factor of Resize"),
        (config(dict(RESIZE, keep_ratio=True)), "must have a scale .* and not keep the ratio"),
        (
            config(RESIZE, pad_size_divisor=32),
            "pads images of .* to multiples of pad_size_divisor=32, .* resize to multiples of it",
        ),
        (config(RESIZE, mean=[0], std=[1]), "a mean and a std for each of three channels"),
        (
            config(
                dict(type="RescaleToHeight", height=32, max_width=120, backend="pillow"),
                dict(type="PadToWidth", width=100),
            ),
            "up to 120 pixels wide, PadToWidth only 100",
        ),
        (
            config(
                dict(type="RescaleToHeight", height=32, backend="pillow"),
                dict(type="PadToWidth", width=100),
            ),
            "RescaleToHeight in the test pipeline has no max_width: images of different widths",
        ),
        (
            config(
                dict(
                    type="RescaleToHeight",
                    height=32,
                    max_width=108,
                    width_divisor=16,
                    backend="pillow",
                ),
                dict(type="PadToWidth", width=108),
            ),
            "up to 112 pixels wide, PadToWidth only 108",
        ),
        (
            config(
                dict(type="RescaleToHeight", height=32, backend="pillow"),
                dict(type="PadToWidth", width=100, pad_cfg=dict(padding_mode="edge")),
            ),
            "must pad with one constant value",
        ),
    ],
)
def test_unsupported_preprocessing_is_refused(cfg, message):
    with pytest.raises(ValueError, match=message):
        Preprocessing.of(cfg)


def test_description_is_plain_data():
    model = to_deploy(build_toy(with_mask=True))
    preprocessing = Preprocessing.of(config(RESIZE))
    found = describe(
        model, preprocessing, precision="int8", attention=True, parameters=7, source="a.pth"
    )
    again = json.loads(encode(found))
    assert again["preprocessing"].pop("interpolation") == "bicubic"
    assert again["preprocessing"]["channels"] == "bgr"
    dictionary = model.decoder.dictionary
    assert again["classes"][again["end"]] == dictionary.end_token
    assert again["classes"][again["start"]] == dictionary.start_token
    assert again.pop("tta") == dict(
        looks=[
            dict(matrix=look.matrix.tolist(), margin=list(look.margin), tall_only=look.tall_only)
            for look in LOOKS
        ],
        sure=SURE,
    )
    del again["preprocessing"], again["classes"], again["end"], again["start"]
    assert again == dict(
        format=1,
        lpv_mmocr=__version__,
        source="a.pth",
        parameters=7,
        padding=None,
        precision="int8",
        mask=True,
        mask_threshold=0.05,
        attention=True,
        stages=3,
        max_seq_len=25,
    )
