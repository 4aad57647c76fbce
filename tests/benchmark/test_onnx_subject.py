"""Tests of measuring ONNX files next to PyTorch models."""

from __future__ import annotations

from lpv_mmocr.benchmark.specification import parse_model
from lpv_mmocr.benchmark.subjects import build_subject, load
from lpv_mmocr.benchmark.tasks import Plan, run_task
from lpv_mmocr.cli import InputError
from lpv_mmocr.deploy.onnx_export import export_onnx

import pytest
import torch
from mmengine.registry import init_default_scope
from mmocr.registry import MODELS
from onnx_cases import import_exporter

import_exporter()


@pytest.mark.parametrize(
    ("text", "label", "onnx", "precision"),
    [
        ("onnx:some/lpv.onnx", "onnx:some/lpv", ("some/lpv.onnx", "onnxruntime"), None),
        ("onnx:my.onnx.d/a.onnx", "onnx:my.onnx.d/a", ("my.onnx.d/a.onnx", "onnxruntime"), None),
        (
            "onnx:lpv.onnx:openvino-bf16",
            "onnx:lpv:openvino-bf16",
            ("lpv.onnx", "openvino-bf16"),
            "bf16",
        ),
    ],
)
def test_specification_names_file_engine_and_precision(text, label, onnx, precision):
    spec = parse_model(text)
    assert (spec.label, spec.onnx, spec.precision, spec.config) == (label, onnx, precision, None)


@pytest.mark.parametrize("text", ["onnx:lpv.pth", "onnx:lpv.onnx:bf16", "onnx:lpv.onnx:deploy"])
def test_bad_specification_is_refused(text):
    with pytest.raises(InputError, match=r"ENGINE is one of onnxruntime, openvino"):
        parse_model(text)


@pytest.mark.slow
def test_onnx_file_is_measured_next_to_pytorch(toy_file, quick, tmp_path):
    init_default_scope("mmocr")
    toy = parse_model(toy_file)
    cfg = load(toy)
    exported = export_onnx(MODELS.build(cfg.model), cfg, tmp_path / "toy.onnx", precision="int8")
    specs = [toy, parse_model(f"onnx:{exported.path}")]
    for task in ("forward", "inference"):
        for found in run_task(task, specs, [2], toy.label, quick):
            assert found.error is None
            assert len(found.times) == quick.rounds
            assert found.parameters > 1000
            assert (found.precision == "int8") == (found.peak_memory is None)
        assert (found.precision, found.share_of_peak) == ("int8", None)
    with pytest.raises(InputError, match="an ONNX file cannot be trained"):
        build_subject(specs[1], torch.device("cpu")).train_call(1, {})
    with pytest.raises(InputError, match="give --device cpu"):
        build_subject(specs[1], torch.device("cuda"))


def test_missing_file_is_named(quick: Plan):
    with pytest.raises(InputError, match=r"onnx:none: there is no model file none.onnx"):
        run_task("forward", [parse_model("onnx:none.onnx")], [1], "x", quick)
