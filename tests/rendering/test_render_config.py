from __future__ import annotations

import copy
import json
import pickle
import re

from lpv_mmocr.rendering import PRESETS, RenderConfig, preset

import pytest


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_valid_and_survive_json(name):
    config = preset(name)
    plain = json.loads(json.dumps(config.to_dict()))
    assert (
        RenderConfig(
            **{key: tuple(item) if isinstance(item, list) else item for key, item in plain.items()}
        )
        == config
    )


def test_replace_changes_only_the_given_fields():
    config = preset("full").replace(blur_prob=0.0)
    assert config.blur_prob == 0.0
    assert config.replace(blur_prob=preset("full").blur_prob) == preset("full")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"blur_prob": 1.5}, "blur_prob must be in"),
        ({"blur": (0.5, 0.1)}, "blur must be a range"),
        ({"blur": 3}, "blur must be a range (low, high), got 3"),
        ({"blur": (1.0, float("inf"))}, "blur must be a range"),
        ({"blur_prob": (0.1, 0.2)}, "blur_prob must be one number, got (0.1, 0.2)"),
        ({"blur_prob": float("nan")}, "blur_prob must be one number, got nan"),
        ({"jpeg_quality": 5}, "jpeg_quality must be a range (low, high), got 5"),
        ({"kinds": 1.0}, "kinds must give a weight to each name, such as dict(word=1.0), got 1.0"),
        ({"kinds": ["word"]}, "kinds must give a weight to each name"),
        ({"kinds": {"word": "often"}}, "kinds must give a weight to each name"),
        ({"cases": {}}, "cases must give non-negative weights"),
        ({"noise": (-5, -1)}, "noise must not be negative, got (-5, -1)"),
        ({"shear": -0.1}, "shear must not be negative"),
        ({"stretch": (0.0, 1.0)}, "stretch must be positive"),
        ({"blurr": 1}, "no field blurr"),
        ({"plain_prob": 0.8, "photo_prob": 0.3}, "must not exceed 1"),
        ({"kinds": {"poem": 1.0}}, "kinds must give"),
        ({"cases": {"upper": 0.0}}, "cases must give"),
        ({"kinds": {"word": -1.0, "number": 2.0}}, "kinds must give"),
        ({"jpeg_quality": (0, 96)}, "jpeg_quality"),
        ({"text_height": (0.0, 30.0)}, "text_height"),
        ({"spacing": (-0.8, -0.7)}, "spacing must be at least -0.3"),
        ({"min_contrast": 0.0}, "min_contrast must be positive, got 0.0"),
        ({"curve_angle": (0.0, 9.0)}, "curve_angle must be above 0 and below 360"),
        ({"curve_angle": (9.0, 360.0)}, "curve_angle must be above 0 and below 360"),
    ],
)
def test_bad_fields_are_named(changes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        preset("full").replace(**changes)


def test_a_range_may_be_a_list_as_in_configs():
    assert preset("full").replace(blur=[0.01, 0.02]) == preset("full").replace(blur=(0.01, 0.02))


def test_unknown_preset_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"'hard'; choose from easy, full"):
        preset("hard")


def test_dense_text_is_larger_and_sharper():
    full = preset("full")
    dense = full.for_dense_text()
    assert dense.text_height == (full.dense_text_height, full.text_height[1])
    assert dense.blur[1] < full.blur[1]
    assert dense.for_dense_text().text_height == dense.text_height


@pytest.mark.parametrize("name", PRESETS)
def test_config_can_be_pickled_and_copied(name):
    config = preset(name).replace(kinds=dict(number=1.0), blur=(0.0, 0.5))
    assert pickle.loads(pickle.dumps(config)) == copy.deepcopy(config) == config
