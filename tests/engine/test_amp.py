"""Tests of mixed precision without a GPU."""

from __future__ import annotations

import lpv_mmocr  # noqa: F401  (registers the wrapper)
from lpv_mmocr.engine import amp
from lpv_mmocr.engine.amp import (
    AutocastOptimWrapper,
    check_loss_scaling,
    enable_amp,
    precision_of,
    replace_emulated_bfloat16,
)

import pytest
import torch
from mmengine.optim import OptimWrapper
from torch import nn


@pytest.fixture
def cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(amp, "is_cuda_available", lambda: False)
    monkeypatch.setattr(amp, "get_device", lambda: "cpu")


@pytest.fixture
def old_gpu(monkeypatch):
    """A GPU that only emulates bfloat16."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation
    )
    monkeypatch.setattr(amp, "is_cuda_available", lambda: True)


def wrapper_of(model: nn.Module, **options) -> AutocastOptimWrapper:
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    return AutocastOptimWrapper(optimizer=optimizer, **options)


@pytest.mark.parametrize(
    ("dtype", "expected"), [("bfloat16", torch.bfloat16), ("float32", torch.float32)]
)
def test_forward_runs_in_the_chosen_precision(dtype, expected):
    model = nn.Linear(3, 2)
    wrapper = wrapper_of(model, dtype=dtype)
    with wrapper.optim_context(model):
        assert model(torch.rand(1, 3)).dtype == expected
    assert model(torch.rand(1, 3)).dtype == torch.float32
    assert model.weight.dtype == torch.float32


def test_step_clips_gradients_and_updates_float32_weights():
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    wrapper = AutocastOptimWrapper(optimizer=optimizer, clip_grad=dict(max_norm=1e-3))
    before = torch.cat([p.detach().flatten().clone() for p in model.parameters()])
    with wrapper.optim_context(model):
        loss = model(torch.ones(4, 3)).float().pow(2).sum()
    wrapper.update_params(loss)
    after = torch.cat([p.detach().flatten() for p in model.parameters()])
    assert after.dtype == torch.float32
    assert (after - before).norm().item() == pytest.approx(1e-3, rel=1e-2)


def test_checkpoint_with_a_loss_scaler_can_be_loaded():
    model = nn.Linear(3, 2)
    source = OptimWrapper(torch.optim.Adam(model.parameters(), lr=0.5))
    source.update_params(model(torch.ones(1, 3)).sum())
    state = {**source.state_dict(), "loss_scaler": {"scale": 65536.0}}
    target = wrapper_of(model)
    target.load_state_dict(state)
    assert target.param_groups[0]["lr"] == 0.5
    assert "loss_scaler" not in target.state_dict()
    assert int(target.optimizer.state[model.weight]["step"]) == 1


def test_float16_is_refused():
    with pytest.raises(ValueError, match="float16 needs the loss scaling of AmpOptimWrapper"):
        wrapper_of(nn.Linear(1, 1), dtype="float16")


class TestEnableAmp:
    @pytest.mark.parametrize(
        "kind", ["OptimWrapper", "DeferredOptimWrapper", "mmengine.OptimWrapper"]
    )
    def test_cpu_uses_the_autocast_wrapper(self, cpu, kind):
        optim_wrapper = dict(type=kind, clip_grad=None)
        enable_amp(optim_wrapper)
        assert optim_wrapper == dict(type="AutocastOptimWrapper", clip_grad=None)

    @pytest.mark.parametrize(
        ("has_bf16", "kind"), [(True, "AutocastOptimWrapper"), (False, "AmpOptimWrapper")]
    )
    def test_gpu_wrapper_depends_on_bfloat16_support(self, monkeypatch, has_bf16, kind):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **options: has_bf16)
        optim_wrapper = dict(type="OptimWrapper")
        enable_amp(optim_wrapper)
        assert optim_wrapper["type"] == kind

    @pytest.mark.parametrize(
        "kind", ["AmpOptimWrapper", "mmengine.AmpOptimWrapper", "AutocastOptimWrapper"]
    )
    def test_mixed_precision_wrapper_of_the_config_is_kept_on_a_gpu(self, monkeypatch, kind):
        monkeypatch.setattr(amp, "is_cuda_available", lambda: True)
        monkeypatch.setattr(amp, "gpu_emulates_bfloat16", lambda: False)
        optim_wrapper = dict(type=kind, dtype="bfloat16")
        enable_amp(optim_wrapper)
        assert optim_wrapper == dict(type=kind, dtype="bfloat16")

    def test_emulated_bfloat16_of_the_config_is_replaced(self, old_gpu):
        optim_wrapper = dict(type="AutocastOptimWrapper", dtype="bfloat16", clip_grad=None)
        enable_amp(optim_wrapper)
        assert optim_wrapper == dict(type="AmpOptimWrapper", loss_scale="dynamic", clip_grad=None)

    def test_float32_of_the_config_is_replaced(self, cpu):
        optim_wrapper = dict(type="AutocastOptimWrapper", dtype="float32")
        enable_amp(optim_wrapper)
        assert optim_wrapper == dict(type="AutocastOptimWrapper", dtype="bfloat16")

    def test_loss_scaling_of_the_config_is_replaced_on_a_cpu(self, cpu):
        optim_wrapper = dict(type="AmpOptimWrapper", loss_scale="dynamic", dtype="float16")
        enable_amp(optim_wrapper)
        assert optim_wrapper == dict(type="AutocastOptimWrapper")

    def test_unknown_wrapper_is_refused(self):
        with pytest.raises(ValueError, match="not ApexOptimWrapper; choose the precision"):
            enable_amp(dict(type="ApexOptimWrapper"))


@pytest.mark.parametrize(
    ("section", "precision"),
    [
        (dict(), "fp32"),
        (dict(type="DeferredOptimWrapper"), "fp32"),
        (dict(type="AutocastOptimWrapper"), "bf16"),
        (dict(type="AutocastOptimWrapper", dtype="float32"), "fp32"),
        (dict(type="AmpOptimWrapper"), "fp16"),
        (dict(type="AmpOptimWrapper", dtype="bfloat16"), "bf16"),
        (dict(type="mmengine.AmpOptimWrapper"), "fp16"),
        (dict(type="AmpOptimWrapper", dtype="float64"), None),
        (dict(type="ApexOptimWrapper"), None),
    ],
)
def test_precision_depends_on_type_and_dtype(section, precision):
    assert precision_of(section) == precision


class TestLossScaling:
    @pytest.mark.parametrize("kind", ["AmpOptimWrapper", "mmengine.AmpOptimWrapper"])
    def test_cpu_is_refused(self, cpu, kind):
        with pytest.raises(ValueError, match="AmpOptimWrapper needs a GPU, and none was found"):
            check_loss_scaling(dict(type=kind))

    def test_gpu_is_accepted(self, monkeypatch):
        monkeypatch.setattr(amp, "is_cuda_available", lambda: True)
        check_loss_scaling(dict(type="AmpOptimWrapper"))

    @pytest.mark.parametrize("section", [{}, dict(type="AutocastOptimWrapper")])
    def test_other_wrappers_are_accepted(self, cpu, section):
        check_loss_scaling(section)

    @pytest.mark.parametrize(
        ("section", "found"),
        [
            (dict(type="AutocastOptimWrapper"), True),
            (dict(type="AutocastOptimWrapper", dtype="float32"), False),
            (dict(type="AmpOptimWrapper"), False),
            (dict(), False),
        ],
    )
    def test_emulated_bfloat16_is_noticed(self, old_gpu, section, found):
        before = dict(section)
        warning = replace_emulated_bfloat16(section) or ""
        assert ("GPU only emulates bfloat16" in warning) is found
        assert section == before

    @pytest.mark.parametrize("emulates", [True, False])
    def test_emulated_bfloat16_of_a_cpu_is_replaced(self, cpu, monkeypatch, emulates):
        monkeypatch.setattr(amp, "cpu_emulates_bfloat16", lambda: emulates)
        section = dict(type="AutocastOptimWrapper", clip_grad=None)
        warning = replace_emulated_bfloat16(section) or ""
        assert ("this run trains in float32" in warning) is emulates
        assert precision_of(section) == ("fp32" if emulates else "bf16")
        assert section["clip_grad"] is None

    def test_float32_of_a_cpu_is_left_alone(self, cpu, monkeypatch):
        monkeypatch.setattr(amp, "cpu_emulates_bfloat16", lambda: True)
        section = dict(type="OptimWrapper")
        assert replace_emulated_bfloat16(section) is None
        assert section == dict(type="OptimWrapper")

    def test_cpu_beside_a_gpu_does_not_matter(self, monkeypatch):
        monkeypatch.setattr(amp, "gpu_emulates_bfloat16", lambda: False)
        monkeypatch.setattr(amp, "cpu_emulates_bfloat16", lambda: True)
        monkeypatch.setattr(amp, "get_device", lambda: "cuda")
        section = dict(type="AutocastOptimWrapper")
        assert replace_emulated_bfloat16(section) is None
        assert precision_of(section) == "bf16"
