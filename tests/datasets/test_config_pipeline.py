"""Tests of comparing test pipelines."""

from __future__ import annotations

from lpv_mmocr.datasets.config_pipeline import steps_without_tta

import pytest

LOAD, PACK = dict(type="LoadWordImage"), dict(type="PackWordInputs")
RESIZE, WIDER = (dict(type="Resize", scale=(width, 32)) for width in (100, 200))
LOOKS = [dict(type="WordLook"), dict(type="WordLook", turn=10)]


@pytest.mark.parametrize(
    ("steps", "missing"),
    [
        ([RESIZE], []),
        ([WIDER], ["Resize"]),
        ([WIDER, RESIZE], ["Resize"]),
        ([dict(type="PadToWidth", width=9), RESIZE], ["PadToWidth"]),
        ([], []),
    ],
)
def test_missing_steps_are_found(steps, missing):
    augment = dict(type="TestTimeAug", transforms=[LOOKS, [RESIZE], [dict(PACK, meta_keys=())]])
    assert steps_without_tta([LOAD, *steps, PACK], [augment]) == missing


def test_steps_before_the_views_count():
    augment = dict(type="TestTimeAug", transforms=[LOOKS, [PACK]])
    assert steps_without_tta([LOAD, RESIZE, PACK], [RESIZE, augment]) == []
    assert steps_without_tta([LOAD, RESIZE, PACK], [WIDER, augment]) == ["Resize"]


def test_step_may_be_one_of_several_alternatives():
    augment = dict(type="TestTimeAug", transforms=[[RESIZE, WIDER], [PACK]])
    assert steps_without_tta([LOAD, RESIZE, PACK], [augment]) == []
