from __future__ import annotations

from types import SimpleNamespace

from lpv_mmocr.deploy import DeployHook
from lpv_mmocr.evaluation.tested_model import describe, variant_of

import pytest
import torch
from lpv_cases import build_toy
from mmocr.registry import MODELS


@pytest.fixture
def model():
    return build_toy()


def test_plain_model_has_no_variant(model):
    assert variant_of(model) == ""
    assert describe(model) == "LPV, float32, mask off"
    model.decoder.with_mask = True
    assert describe(model) == "LPV, float32, mask on"


@pytest.mark.parametrize(
    ("dtype", "name"),
    [(torch.float32, "_deployed-fp32"), (torch.bfloat16, "_deployed-bf16")],
)
def test_variant_of_deployed_model_names_its_dtype(model, dtype, name):
    deployed = model.to_deploy(dtype=dtype)
    assert variant_of(deployed) == name
    assert describe(deployed).startswith("DeployedLPV, ")
    deployed.dtype = torch.float64
    assert variant_of(deployed) == "_deployed-float64"


def test_variant_of_test_time_augmentation(model):
    augmented = MODELS.build(dict(type="BestLookTTAModel", module=model))
    assert variant_of(augmented) == "_tta"
    assert describe(augmented) == "BestLookTTAModel, float32, mask off"
    DeployHook(dtype="bf16").before_test(SimpleNamespace(model=augmented))
    assert variant_of(augmented) == "_tta_deployed-bf16"
    assert describe(augmented).startswith("BestLookTTAModel of a DeployedLPV, ")
