from __future__ import annotations

import copy
import warnings

from lpv_mmocr.deploy import DeployedLPV, convert, to_deploy
from lpv_mmocr.deploy.onednn import PackedLinear, can_pack
from lpv_mmocr.models import CPADecoder, LPVSVTREncoder

import pytest
import torch
from deploy_cases import images, plain_logits, settle
from lpv_cases import SIZES, build_size, build_toy, word_sample
from mmengine.structures import LabelData
from mmocr.registry import MODELS
from torch import nn


@pytest.mark.parametrize("with_mask", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_logits_match_the_plain_path(size, with_mask):
    torch.manual_seed(0)
    model = settle(build_size(size, with_mask))
    batch = images(model, 2)
    expected = plain_logits(model, batch)
    assert expected.std() > 0.01
    difference = (to_deploy(model).logits(batch) - expected).abs().max()
    assert difference < 1e-4


class Told(nn.Module):
    """Encoder that uses the data samples, as some of MMOCR's do."""

    def forward(self, features: torch.Tensor, data_samples: list) -> torch.Tensor:
        told = torch.tensor([len(sample.gt_text.item) for sample in data_samples])
        return features + told.to(features).view(-1, 1, 1, 1)


def test_other_encoders_get_the_data_samples():
    model = settle(build_toy(with_mask=True))
    model.encoder, model.backbone = Told(), model.encoder
    batch = torch.rand(37, 3, 16, 40, generator=torch.Generator().manual_seed(0))
    samples = [word_sample("a" * (number % 7)) for number in range(37)]
    with torch.no_grad():
        expected = model.decoder.predict(
            None, model.encoder(model.extract_feat(batch), samples), copy.deepcopy(samples)
        )
    deployed = to_deploy(model)
    assert not deployed.reads_images_alone
    found = deployed.predict(batch, copy.deepcopy(samples))
    assert [s.pred_text.item for s in found] == [s.pred_text.item for s in expected]
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.pred_text.word_score == pytest.approx(theirs.pred_text.word_score, rel=1e-3)


class Shortened(LPVSVTREncoder):
    """Encoder derived from a known one, which also uses the data samples."""

    def forward(self, features: torch.Tensor, data_samples: list | None = None) -> torch.Tensor:
        told = torch.tensor([sample.valid_ratio for sample in data_samples])
        return super().forward(features) * told.to(features).view(-1, 1, 1, 1)


def test_encoder_derived_from_a_known_one_gets_the_data_samples():
    model = settle(build_toy(with_mask=False))
    batch = images(model, 2)
    model.encoder.__class__ = Shortened
    samples = [word_sample("a") for _ in batch]
    for sample, valid_ratio in zip(samples, (0.5, 1.0), strict=True):
        sample.set_metainfo(dict(valid_ratio=valid_ratio))
    with torch.no_grad():
        expected = model.decoder.forward_train(out_enc=model.encoder(batch, samples))["logits"][-1]
    assert (to_deploy(model).logits(batch, samples) - expected).abs().max() < 1e-4


def test_logits_match_without_packing(monkeypatch):
    model = settle(build_toy(with_mask=True))
    monkeypatch.setattr(convert, "can_pack", lambda dtype: False)
    deployed = to_deploy(model)
    assert not any(isinstance(module, PackedLinear) for module in deployed.modules())
    batch = images(model)
    torch.testing.assert_close(deployed.logits(batch), plain_logits(model, batch))


def test_every_layer_is_packed_if_possible():
    if not can_pack(torch.float32):
        pytest.skip("this PyTorch has no packed operators")
    deployed = to_deploy(settle(build_toy(with_mask=True)))
    left = [m for m in deployed.modules() if isinstance(m, nn.Linear | nn.Conv2d | nn.BatchNorm2d)]
    assert left == []


@pytest.mark.parametrize("number", [1, 16, 37])
def test_large_batches_are_split(monkeypatch, number):
    deployed = to_deploy(settle(build_toy(with_mask=True)))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    seen, read = [], deployed._read
    monkeypatch.setattr(deployed, "_read", lambda part, _: (seen.append(len(part)), read(part))[1])
    batch = torch.rand(number, 3, 16, 40, generator=torch.Generator().manual_seed(0))
    logits = deployed.logits(batch)
    assert len(logits) == sum(seen) == number and max(seen) <= 16
    for place in range(number):
        alone = deployed.logits(batch[place : place + 1])
        torch.testing.assert_close(logits[place : place + 1], alone, atol=1e-4, rtol=0)


def test_images_at_once_depend_on_threads_and_device(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 32)
    assert DeployedLPV.images_at_once(torch.empty(200, 3, 8, 8)) == 128
    assert DeployedLPV.images_at_once(torch.empty(200, 3, 8, 8, device="meta")) == 200


@pytest.mark.parametrize(
    ("dtype", "emulated", "warning"),
    [
        (torch.float16, False, "several times slower than float32 on a CPU; use bfloat16 there"),
        (torch.float16, True, "several times slower than float32 on a CPU; use float32 there"),
        (torch.bfloat16, True, "only emulates bfloat16, .* use float32"),
    ],
)
def test_slow_float_types_on_a_cpu_warn(monkeypatch, dtype, emulated, warning):
    monkeypatch.setattr(convert, "cpu_emulates_bfloat16", lambda: emulated)
    with pytest.warns(UserWarning, match=warning) as warned:
        to_deploy(settle(build_toy()), dtype=dtype, device="cpu")
    assert {entry.filename for entry in warned} == {__file__}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_fast_float_types_do_not_warn(monkeypatch, dtype):
    monkeypatch.setattr(convert, "cpu_emulates_bfloat16", lambda: dtype is torch.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        to_deploy(settle(build_toy()), dtype=dtype, device="cpu")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_narrower_types_give_nearly_equal_logits(dtype):
    model = settle(build_toy())
    batch = images(model, 8)
    deployed = to_deploy(model, dtype=dtype)
    logits = deployed.logits(batch)
    assert logits.dtype is torch.float32
    expected = plain_logits(model, batch)
    assert (logits - expected).abs().max() < 0.1 * (expected.max() - expected.min())


def test_original_model_is_left_unchanged():
    model = settle(build_toy(with_mask=True))
    before = copy.deepcopy(model.state_dict())
    deployed = model.to_deploy()
    assert isinstance(deployed, DeployedLPV)
    assert not deployed.training
    assert not any(parameter.requires_grad for parameter in deployed.parameters())
    assert all(parameter.requires_grad for parameter in model.parameters())
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    batch = images(model)
    model.train().loss(batch, [word_sample("ab")] * 3)["loss_cpa"].backward()


def test_predictions_match_the_original():
    model = settle(build_toy())
    batch = images(model, 2)
    expected = model.predict(batch, [word_sample(), word_sample()])
    found = to_deploy(model).predict(batch, [word_sample(), word_sample()])
    assert [s.pred_text.item for s in found] == [s.pred_text.item for s in expected]
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours.pred_text.score, theirs.pred_text.score)
        assert ours.pred_text.word_score == pytest.approx(theirs.pred_text.word_score, rel=1e-3)


def test_can_pack_leaves_the_random_state_unchanged():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    can_pack(torch.float32)
    assert torch.equal(torch.get_rng_state(), before)


def test_bad_samples_get_empty_texts():
    model = settle(build_toy())
    sample = word_sample()
    sample.set_metainfo(dict(bad_sample=True))
    sample.pred_text = LabelData(item="x")
    (read,) = to_deploy(model).predict(images(model, 1), [sample])
    assert read.pred_text.item == ""
    assert read.pred_text.word_score == 0.0


def test_logits_match_without_glrm():
    for overrides in (dict(num_stages=1), dict(glrm=None, num_stages=2)):
        model = settle(build_toy(**overrides))
        batch = images(model)
        torch.testing.assert_close(
            to_deploy(model).logits(batch), plain_logits(model, batch), atol=1e-5, rtol=0
        )


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.05)])
def test_logits_match_with_a_rectifier(dtype, tolerance):
    model = settle(build_toy())
    batch = images(model, 3)
    size = dict(resized_image_size=(32, 64), output_image_size=tuple(batch.shape[2:]))
    stn = dict(type="STN", in_channels=3, num_control_points=20, margins=[0.1, 0.1], **size)
    model.preprocessor = MODELS.build(stn).eval()
    expected = plain_logits(model, model.preprocessor(batch))
    difference = (to_deploy(model, dtype=dtype).logits(batch) - expected).abs().max()
    assert difference < tolerance * (expected.max() - expected.min())


def test_unsupported_models_and_calls_are_refused():
    model = settle(build_toy())
    with pytest.raises(ValueError, match=r"dtype must be torch.float32, bfloat16 or float16"):
        to_deploy(model, dtype=torch.float64)
    deployed = to_deploy(model)
    with pytest.raises(ValueError, match="deployed already"):
        deployed.to_deploy()
    with pytest.raises(RuntimeError, match="only reads"):
        deployed.loss(images(model), [word_sample("ab")] * 3)
    derived = settle(build_toy())
    derived.__class__ = type("Derived", (type(derived),), {})
    with pytest.raises(ValueError, match=r"derived from either .* got Derived with CPADecoder"):
        to_deploy(derived)
    model.decoder.__class__ = type("Averaging", (CPADecoder,), {})
    with pytest.raises(ValueError, match="got LPV with Averaging"):
        to_deploy(model)
    model.decoder = nn.Identity()
    with pytest.raises(
        ValueError, match=r"only an LPV with a CPADecoder can be deployed, .* got LPV with Identity"
    ):
        to_deploy(model)
