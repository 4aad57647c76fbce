from __future__ import annotations

from types import SimpleNamespace

from lpv_mmocr.deploy import DeployedLPV, DeployHook

import pytest
import torch
from lpv_cases import build_toy
from mmocr.registry import MODELS


def test_tested_model_is_a_deployed_copy():
    model = build_toy()
    runner = SimpleNamespace(model=model)
    hook = DeployHook(dtype="bf16")
    hook.before_test(runner)
    deployed = runner.model
    assert isinstance(deployed, DeployedLPV)
    assert next(deployed.parameters()).dtype == torch.bfloat16
    assert next(model.parameters()).dtype == torch.float32
    hook.before_test(runner)
    assert runner.model is deployed


def test_recogniser_inside_test_time_augmentation_is_replaced():
    model = build_toy()
    augmented = MODELS.build(dict(type="BestLookTTAModel", module=model))
    runner = SimpleNamespace(model=augmented)
    hook = DeployHook()
    hook.before_test(runner)
    assert runner.model is augmented
    deployed = augmented.module
    assert isinstance(deployed, DeployedLPV)
    hook.before_test(runner)
    assert augmented.module is deployed


def test_unknown_dtype_is_refused():
    with pytest.raises(ValueError, match="dtype must be one of fp32, bf16, fp16, got 'int8'"):
        DeployHook(dtype="int8")
