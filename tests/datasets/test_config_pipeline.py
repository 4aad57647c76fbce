"""Tests of comparing test pipelines."""

from __future__ import annotations

from lpv_mmocr.datasets.config_pipeline import pipeline_of_test, steps_without_tta
from lpv_mmocr.deploy.onnx_metadata import Preprocessing

import pytest
from mmengine.config import Config

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


def test_scope_of_an_inherited_pipeline_is_no_difference(tmp_path):
    """MMEngine adds it to the transforms of the pipeline, but not to those inside TestTimeAug."""
    file = tmp_path / "mine.py"
    file.write_text(
        "_base_ = ['lpv_mmocr::textrecog/lpv/lpv-mini_own_data.py']\n"
        "test_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))\n"
    )
    cfg = Config.fromfile(file)
    pipeline = pipeline_of_test(cfg)
    assert any("_scope_" in step for step in pipeline)
    assert steps_without_tta(pipeline, cfg.tta_pipeline) == []
    assert Preprocessing.of(cfg).height == 32
