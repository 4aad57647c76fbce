"""Tests of the inference engines."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from apis.inference_cases import noise

import lpv_onnx


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(engine="tensorrt"), "engine must be one of onnxruntime, openvino"),
        (dict(batch_size=0), "must be at least 1"),
        (dict(threads=0), "threads must be from 1 to 1024"),
        (dict(threads=1025), "threads must be from 1 to 1024"),
        (
            dict(engine="openvino", providers=["CPU"]),
            "providers can only be given for .* onnxruntime",
        ),
        (
            dict(providers=["Abacus"]),
            "onnxruntime has no Abacus here; it has .*CPUExecutionProvider",
        ),
    ],
)
def test_bad_options_are_refused(model_file, options, message):
    with pytest.raises(ValueError, match=message):
        lpv_onnx.Reader(model_file, **options)


def test_one_available_provider_is_enough(model_file):
    providers = ["Abacus", ("CPUExecutionProvider", {})]
    assert lpv_onnx.Reader(model_file, providers=providers)(noise())[0].error is None
    (reading,) = lpv_onnx.Reader(model_file, providers="CPUExecutionProvider")(noise())
    assert reading.error is None


@pytest.mark.parametrize("engine", ["openvino", "openvino-bf16"])
def test_openvino_matches_onnxruntime(reader, model_file, engine):
    pytest.importorskip("openvino", reason="openvino is not installed")
    other = lpv_onnx.Reader(model_file, engine=engine, threads=1, batch_size=2, tta=False)
    images = [noise(seed=number) for number in range(3)]
    for ours, theirs in zip(other(images), reader(images), strict=True):
        tolerance = 1e-3 if engine == "openvino" else 0.1
        np.testing.assert_allclose(ours.attention, theirs.attention, atol=tolerance)
        assert ours.confidence == pytest.approx(theirs.confidence, rel=100 * tolerance)
        if engine == "openvino":
            assert ours.text == theirs.text


def test_openvino_is_optional(model_file, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ImportError, match="pip install openvino"):
        lpv_onnx.Reader(model_file, engine="openvino")


def test_missing_onnxruntime_is_reported(model_file, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ImportError, match="pip install onnxruntime"):
        lpv_onnx.Reader(model_file)
