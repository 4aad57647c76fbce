"""Tests of the precision in which the benchmark trains; for models see test_tasks.py."""

from __future__ import annotations

from lpv_mmocr.benchmark.precision import training_wrapper
from lpv_mmocr.benchmark.specification import parse_model

import pytest
import torch
from mmengine.optim import build_optim_wrapper

SGD = dict(type="SGD", lr=0.1)


@pytest.mark.parametrize(
    "own",
    [
        dict(type="AmpOptimWrapper", loss_scale="dynamic", dtype="float16", use_fsdp=False),
        dict(type="AutocastOptimWrapper", dtype="float32"),
        dict(clip_grad=dict(max_norm=1)),
    ],
)
def test_options_of_other_precisions_are_dropped(own):
    given = dict(own, optimizer=SGD)
    config = training_wrapper(given, parse_model("lpv-tiny:bf16"), torch.device("cpu"))
    assert config.get("clip_grad") == own.get("clip_grad")
    wrapper = build_optim_wrapper(torch.nn.Linear(1, 1), config)
    assert wrapper.cast_dtype is torch.bfloat16
    assert given == dict(own, optimizer=SGD)
