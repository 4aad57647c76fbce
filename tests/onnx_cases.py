"""Check that ONNX files can be exported, for tests that need one."""

from __future__ import annotations

from types import ModuleType

from lpv_mmocr.deploy.onnx_export import MIN_TORCH

import pytest


def import_exporter() -> tuple[ModuleType, ModuleType]:
    """Return onnx and onnxruntime; skip if a package of the exporter is missing or too old."""
    pytest.importorskip("torch", MIN_TORCH)
    onnx, onnxruntime, _ = (
        pytest.importorskip(package, reason="the extra [onnx] is not installed")
        for package in ("onnx", "onnxruntime", "onnxscript")
    )
    return onnx, onnxruntime
