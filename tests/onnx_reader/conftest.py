"""Fixtures: a small model, its ONNX file and a reader of it."""

from __future__ import annotations

from pathlib import Path

from lpv_mmocr.deploy.onnx_export import export_onnx

import pytest
import torch
from apis.inference_cases import write_toy
from deploy.deploy_cases import settle
from mmengine.registry import init_default_scope
from mmocr.apis import TextRecInferencer
from onnx_cases import import_exporter

import lpv_onnx


@pytest.fixture(scope="session")
def inferencer(tmp_path_factory) -> TextRecInferencer:
    init_default_scope("mmocr")
    _, checkpoint = write_toy(tmp_path_factory.mktemp("toy"))
    inferencer = TextRecInferencer(weights=str(checkpoint), device="cpu")
    vary(settle(inferencer.model))
    return inferencer


@torch.no_grad()
def vary(model: torch.nn.Module) -> None:
    """Scale the classifier so that random weights read different images differently.

    Not more than needed, since rounding errors are scaled as well.
    """
    batch = torch.rand(16, 3, *model.encoder.img_size, generator=torch.Generator().manual_seed(0))
    logits = model.decoder.last_logits(model.encoder(batch)).flatten(0, 1)
    classifier = model.decoder.classifiers[-1]
    classifier.bias -= logits.mean(0)
    for parameter in (classifier.weight, classifier.bias):
        parameter /= logits.std(0)[(...,) + (None,) * (parameter.dim() - 1)]


@pytest.fixture(scope="session")
def model_file(inferencer, tmp_path_factory) -> Path:
    import_exporter()
    out = tmp_path_factory.mktemp("onnx") / "toy.onnx"
    return export_onnx(inferencer.model, inferencer.cfg, out, attention=True).path


@pytest.fixture(scope="session")
def reader(model_file) -> lpv_onnx.Reader:
    """Return a reader without TTA; with random weights, no reading is confident."""
    return lpv_onnx.Reader(model_file, threads=1, batch_size=3, tta=False)
