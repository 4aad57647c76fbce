"""Tests of exported files against PyTorch, and of refusing to write bad ones."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path

from lpv_mmocr.deploy import onnx_export, to_deploy
from lpv_mmocr.deploy.onnx_check import Comparison
from lpv_mmocr.deploy.onnx_export import Export, OnnxExportError, export_onnx
from lpv_mmocr.models.token_linear import TokenLinear

import numpy as np
import pytest
import torch
from deploy_cases import images, plain_logits, settle
from lpv_cases import SIZES, build_size, build_toy
from mmengine.config import Config
from mmocr.registry import MODELS
from onnx_cases import import_exporter
from torch import nn

onnx, onnxruntime = import_exporter()

BAD = Comparison(images=4, at_threshold=0, difference=2.0, deviation=0.9, rounding=1e-6)


def config_for(model: nn.Module) -> Config:
    """Return a config whose pipeline produces images of the encoder's size."""
    height, width = model.encoder.img_size
    resize = dict(type="Resize", scale=(width, height), backend="pillow", interpolation="bicubic")
    pipeline = [dict(type="LoadImageFromNDArray"), resize, dict(type="PackWordInputs")]
    return Config(
        dict(
            model=dict(
                data_preprocessor=dict(mean=[0, 0, 0], std=[255, 255, 255], bgr_to_rgb=True)
            ),
            test_pipeline=pipeline,
        )
    )


def run(file: Path, batch: torch.Tensor) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    return session.run(None, {"images": batch.numpy()})


@pytest.fixture(scope="module")
def model() -> nn.Module:
    torch.manual_seed(0)
    return settle(build_toy(with_mask=True))


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory) -> Export:
    out = tmp_path_factory.mktemp("onnx") / "new" / "toy.onnx"
    return export_onnx(model, config_for(model), out, attention=True, source="toy.pth")


def skip_tracing(monkeypatch: pytest.MonkeyPatch, exported: Export) -> None:
    """Let exports start from the graph of an earlier one, since tracing takes seconds."""
    monkeypatch.setattr(onnx_export, "_trace", lambda *args: shutil.copy(exported.path, args[-1]))


@pytest.mark.parametrize("number", [1, 2, 5])
def test_logits_and_maps_match_for_any_batch_size(model, exported, number):
    batch = images(model, number)
    logits, attention = run(exported.path, batch)
    torch.testing.assert_close(
        torch.from_numpy(logits), plain_logits(model, batch), atol=1e-4, rtol=0
    )
    with torch.no_grad():
        maps = model.decoder.forward_train(out_enc=model.encoder(batch))["attn_maps"]
    torch.testing.assert_close(torch.from_numpy(attention), maps.transpose(0, 1), atol=1e-5, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "blocks"),
    # Base has other proportions than tiny and small; all its blocks and layers would take a minute.
    [
        ("tiny", {}),
        (
            "base",
            dict(depths=(1, 1, 1), num_local_blocks=1, glrm=dict(num_layers=1, ffn_dim=1536)),
        ),
    ],
)
def test_logits_of_published_sizes_match(size, blocks, tmp_path, monkeypatch):
    for name, value in blocks.items():
        monkeypatch.setitem(SIZES[size], name, value)
    torch.manual_seed(0)
    model = settle(build_size(size, with_mask=True))
    export = export_onnx(model, config_for(model), tmp_path / "sized.onnx")
    batch = images(model, 2)
    expected = plain_logits(model, batch)
    assert expected.std() > 0.01
    (logits,) = run(export.path, batch)
    assert (torch.from_numpy(logits) - expected).abs().max() < 1e-4


@pytest.mark.slow
def test_mask_can_be_left_off(model, tmp_path):
    without = copy.deepcopy(model)
    without.decoder.with_mask = False
    export = export_onnx(model, config_for(model), tmp_path / "off.onnx", mask=False)
    batch = images(model)
    (logits,) = run(export.path, batch)
    unmasked = plain_logits(without, batch)
    torch.testing.assert_close(torch.from_numpy(logits), unmasked, atol=1e-4, rtol=0)
    assert (unmasked - plain_logits(model, batch)).abs().max() > 1e-3
    assert model.decoder.with_mask
    assert export.metadata["mask"] is False


@pytest.mark.parametrize(
    ("precision", "type_kept"),
    [pytest.param("fp16", "FLOAT16", marks=pytest.mark.slow), ("int8", "INT8")],
)
def test_narrower_precisions_apply_to_weights_only(
    model, exported, tmp_path, monkeypatch, precision, type_kept
):
    if precision == "int8":  # quantised from the same traced file
        skip_tracing(monkeypatch, exported)
    export = export_onnx(model, config_for(model), tmp_path / "small.onnx", precision=precision)
    assert export.comparison.deviation < 0.1
    graph = onnx.load(export.path).graph
    kind = getattr(onnx.TensorProto, type_kept)
    weights = [tensor for tensor in graph.initializer if tensor.data_type == kind]
    assert len(weights) > 10
    interface = [*graph.input, *graph.output]
    assert {value.type.tensor_type.elem_type for value in interface} == {onnx.TensorProto.FLOAT}
    assert export.metadata["precision"] == precision


def test_int8_products_fit_into_16_bits_in_pairs(model, exported, tmp_path, monkeypatch):
    """Processors without VNNI clip the sum of two products of uint8 inputs and int8 weights."""
    skip_tracing(monkeypatch, exported)
    export = export_onnx(model, config_for(model), tmp_path / "small.onnx", precision="int8")
    initializers = onnx.load(export.path).graph.initializer
    weights = [onnx.numpy_helper.to_array(value) for value in initializers]
    matrices = [value for value in weights if value.dtype == np.int8 and value.ndim == 2]
    assert len(matrices) > 10
    largest = max(int(abs(matrix.astype(int)).max()) for matrix in matrices)
    assert largest > 60, "the range is used"
    assert 2 * 255 * largest < 2**15


def test_file_is_complete_and_contains_no_local_path(exported):
    onnx.checker.check_model(str(exported.path), full_check=True)
    content = exported.path.read_bytes()
    assert exported.size == len(content)
    assert str(Path(__file__).resolve().parents[2]).encode() not in content
    assert list(exported.path.parent.iterdir()) == [exported.path]
    assert exported.comparison.difference < 1e-4


def test_file_with_different_logits_is_not_written(model, exported, tmp_path, monkeypatch):
    out = tmp_path / "toy.onnx"
    out.write_text("an earlier export")
    skip_tracing(monkeypatch, exported)
    monkeypatch.setattr(onnx_export, "compare", lambda *args: BAD)
    with pytest.raises(OnnxExportError, match=r"toy.onnx was not written.* differ by up to 2.0e"):
        export_onnx(model, config_for(model), out)
    assert out.read_text() == "an earlier export"
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.slow
def test_large_rounding_errors_are_accepted(model, tmp_path):
    large = copy.deepcopy(model)
    with torch.no_grad():
        large.decoder.classifiers[-1].weight.mul_(1e4)
    comparison = export_onnx(large, config_for(model), tmp_path / "large.onnx").comparison
    assert comparison.difference > 1e-4
    assert 0 < comparison.rounding < 1e-4


def test_small_model_difference_is_not_taken_for_rounding(model, exported, tmp_path, monkeypatch):
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.decoder.classifiers[-1].weight.mul_(1.001)
    skip_tracing(monkeypatch, exported)
    with pytest.raises(OnnxExportError, match="was not written"):
        export_onnx(other, config_for(model), tmp_path / "toy.onnx")


class OwnEncoder(nn.Module):
    """Encoder that gets the data samples, and uses them if told to."""

    def __init__(self, looks: bool) -> None:
        super().__init__()
        self.looks = looks

    def forward(self, features: torch.Tensor, data_samples: list | None) -> torch.Tensor:
        if self.looks and data_samples is not None:
            ratios = [sample.get("valid_ratio", 1.0) for sample in data_samples]
            return features * torch.tensor(ratios).view(-1, 1, 1, 1)
        return features


@pytest.mark.parametrize("looks", [pytest.param(False, marks=pytest.mark.slow), True])
def test_custom_encoder_must_use_only_the_images(model, tmp_path, looks):
    config, own = config_for(model), copy.deepcopy(model)
    own.backbone, own.encoder = own.encoder, OwnEncoder(looks)
    if looks:
        with pytest.raises(ValueError, match="OwnEncoder looks at more than the images"):
            export_onnx(own, config, tmp_path / "own.onnx")
    else:
        assert export_onnx(own, config, tmp_path / "own.onnx").comparison.passes("fp32")


@pytest.mark.slow
def test_rectifier_is_exported_in_half_precision(model, tmp_path):
    config, straightening = config_for(model), copy.deepcopy(model)
    size = dict(resized_image_size=(32, 64), output_image_size=model.encoder.img_size)
    stn = dict(type="STN", in_channels=3, num_control_points=20, margins=[0.1, 0.1], **size)
    straightening.preprocessor = MODELS.build(stn).eval()
    written = export_onnx(straightening, config, tmp_path / "stn.onnx", precision="fp16")
    assert written.comparison.passes("fp16")


def test_unsupported_models_and_arguments_are_refused(model, tmp_path, monkeypatch):
    cfg = config_for(model)
    with pytest.raises(ValueError, match="precision must be one of fp32, fp16, int8, got 'int4'"):
        export_onnx(model, cfg, tmp_path / "x.onnx", precision="int4")
    with pytest.raises(ValueError, match=r"only an LPV with a CPADecoder .* got Linear"):
        export_onnx(nn.Linear(2, 2), cfg, tmp_path / "x.onnx")
    single = settle(build_toy(num_stages=1, glrm=None))
    with pytest.raises(ValueError, match="the mask belongs to the GLRMs, and this model has none"):
        export_onnx(single, cfg, tmp_path / "x.onnx", mask=True)
    with pytest.raises(OSError, match=r"x is a folder; name a file"):
        (tmp_path / "x").mkdir()
        export_onnx(model, cfg, tmp_path / "x")
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"file/x.onnx cannot be written \(File exists\)"):
        export_onnx(model, cfg, tmp_path / "file" / "x.onnx")
    monkeypatch.setattr(onnx_export, "find_spec", lambda name: None)
    with pytest.raises(OnnxExportError, match=r"needs onnx, onnxruntime, onnxscript: pip install"):
        export_onnx(model, cfg, tmp_path / "x.onnx")


def test_early_build_of_a_recent_torch_is_accepted(monkeypatch):
    monkeypatch.setattr(torch, "__version__", torch.torch_version.TorchVersion("2.10.0a0+b4e4ee8"))
    onnx_export._require_packages()


def test_extra_requires_the_same_torch():
    file = Path(__file__).resolve().parents[2] / "requirements" / "onnx.txt"
    assert f"torch>={onnx_export.MIN_TORCH}" in file.read_text().splitlines()


def test_older_torch_is_refused(model, tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "__version__", torch.torch_version.TorchVersion("2.9.1+cu128"))
    with pytest.raises(OnnxExportError, match=r"needs torch 2.10 or newer, and this is 2.9.1\+cu"):
        export_onnx(model, config_for(model), tmp_path / "toy.onnx")


def test_deployed_without_packing_has_standard_layers(model):
    deployed = to_deploy(model, packed=False)
    special = [m for m in deployed.modules() if isinstance(m, TokenLinear | nn.BatchNorm2d)]
    assert special == []
    assert any(type(m) is nn.Linear for m in deployed.modules())
    batch = images(model)
    torch.testing.assert_close(
        deployed.logits(batch), plain_logits(model, batch), atol=1e-5, rtol=0
    )
