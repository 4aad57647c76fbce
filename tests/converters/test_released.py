"""Tests of names and layouts in the authors' files.

``tools/test_official_to_mmocr.py`` tests complete files.
"""

from __future__ import annotations

from lpv_mmocr.converters.released import convert_state_dict, recognise_layout, rename

import pytest
from lpv_cases import SIZES, build_size, released_shapes, released_state_dict


@pytest.mark.parametrize("size", SIZES)
def test_layout_and_names_of_every_size_are_recognised(size):
    state = released_state_dict(size)
    layout = recognise_layout(state)
    config = layout.model_config("x", with_mask=True)
    expected = dict(SIZES[size])
    assert config["decoder"]["glrm"] == expected.pop("glrm")
    expected.pop("trainable")
    assert {key: config["encoder"][key] for key in expected} == expected
    assert (layout.num_characters, layout.num_positions, layout.num_stages) == (36, 27, 3)
    assert convert_state_dict(state).keys() == build_size(size, True).state_dict().keys()


def test_released_names_stay_distinct_when_renamed():
    for size in SIZES:
        names = [n.removeprefix("str_model.") for n in released_shapes(size)]
        trained = [n for n in names if not n.endswith((".mask", ".pe"))]
        assert len({rename(name) for name in trained}) == len(trained)
