"""Tests that the plain reference agrees with the released numbers and with our model."""

from __future__ import annotations

from functools import cache

from lpv_mmocr.converters.released import convert_state_dict, reorder_classes

import numpy as np
import pytest
import reference_lpv
import torch
from lpv_cases import PARITY, build_size, released_state_dict, released_table, word_sample
from reference_lpv import GLRM, ReferenceLPV

SIZES = [
    pytest.param(size, marks=[pytest.mark.slow] * (size != "tiny"))
    for size in ("tiny", "small", "base")
]
MASK = pytest.mark.parametrize("with_mask", [False, True])


@cache
def _pack(size: str) -> dict[str, np.ndarray]:
    with np.load(PARITY / f"official_{size}_seed2022.npz") as pack:
        return dict(pack)


@cache
def _state(size: str) -> dict[str, torch.Tensor]:
    return convert_state_dict(released_state_dict(size))


def _reference(size: str, with_mask: bool, drop: float = 0.0) -> ReferenceLPV:
    model = ReferenceLPV(size, with_mask, drop)
    model.load_state_dict(_state(size), strict=True)
    return model.double()


def _ours(size: str, with_mask: bool) -> torch.nn.Module:
    model = build_size(size, with_mask, drop=0.0)
    model.load_state_dict(_state(size), strict=True)
    return model.double()


def _images(size: str) -> torch.Tensor:
    return torch.from_numpy(_pack(size)["images_uint8"]).double() / 255


@MASK
@pytest.mark.parametrize("size", SIZES)
def test_reference_gives_the_released_numbers(size, with_mask, monkeypatch):
    monkeypatch.setattr(reference_lpv, "sinusoid", released_table)
    pack, prefix = _pack(size), "mask" if with_mask else "nomask"
    with torch.no_grad():
        logits, maps = _reference(size, with_mask).eval().forward_all(_images(size))
    released = torch.from_numpy(pack[f"{prefix}_logits"]).double()
    expected = reorder_classes(released.movedim(-1, 0)).movedim(0, -1)
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-6)
    released_maps = torch.from_numpy(pack[f"{prefix}_maps"]).double().flatten(3)
    torch.testing.assert_close(maps, released_maps, rtol=0, atol=1e-6)


@MASK
def test_our_model_equals_the_reference(with_mask):
    """Compare more precisely than with the released numbers, which cover both in all sizes."""
    images, ours = _images("tiny"), _ours("tiny", with_mask).eval()
    with torch.no_grad():
        logits, maps = _reference("tiny", with_mask).eval().forward_all(images)
        out = ours.decoder.forward_train(None, ours.encoder(images))
    torch.testing.assert_close(out["logits"], logits, rtol=0, atol=1e-10)
    torch.testing.assert_close(out["attn_maps"].flatten(3), maps, rtol=0, atol=1e-10)


@MASK
def test_losses_and_gradients_equal_the_reference(with_mask):
    images, texts = _images("tiny"), ["linguistic42", "a"]
    reference, ours = _reference("tiny", with_mask).train(), _ours("tiny", with_mask).train()
    loss = reference.loss(images, texts)
    our_loss = ours.loss(images, [word_sample(text) for text in texts])["loss_cpa"]
    torch.testing.assert_close(our_loss, loss, rtol=0, atol=1e-10)
    loss.backward()
    our_loss.backward()
    expected = dict(reference.named_parameters())
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name].grad, rtol=1e-6, atol=1e-10)


def test_blind_tokens_pass_through_the_residual(monkeypatch):
    # With a threshold below every weight all tokens belong to one character, so all are blind.
    size = reference_lpv.SIZES["tiny"]
    reference, ours = _reference("tiny", True).eval(), _ours("tiny", True).eval()
    monkeypatch.setattr(reference_lpv, "THRESHOLD", -1.0)
    ours.decoder.mask_threshold = -1.0
    images = _images("tiny")
    with torch.no_grad():
        logits, maps = reference.forward_all(images)
        out = ours.decoder.forward_train(None, ours.encoder(images))
    assert GLRM.mask(maps[0])[1].all()
    assert logits.isfinite().all()
    torch.testing.assert_close(out["logits"], logits, rtol=0, atol=1e-10)

    layer = reference.decoder.glrms[0].layers[0]
    x = torch.randn(1, 200, size.widths[-1], dtype=torch.float64)
    mask, blind = GLRM.mask(maps[0][:1])
    constant = layer.self_attn(x, mask, blind)
    assert torch.equal(constant, layer.self_attn.out_proj.bias.expand_as(constant))


def test_only_a_token_with_every_key_masked_is_blind():
    # Three characters pair token 0 with each of the other tokens, so every key is masked for it.
    maps = torch.tensor([[[0.5, 0.5, 0, 0], [0.5, 0, 0.5, 0], [0.5, 0, 0, 0.5]]])
    mask, blind = GLRM.mask(maps)
    assert blind.flatten().tolist() == [True, False, False, False]
    hidden = (mask[0, 0] == -torch.inf).int().tolist()
    assert hidden == [[0, 0, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 1]]
