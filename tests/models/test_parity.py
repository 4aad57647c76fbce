"""Tests of parity with the released code in all three sizes, with and without mask."""

from __future__ import annotations

from functools import cache

from lpv_mmocr.converters.released import (
    convert_state_dict,
    rename,
    reorder_classes,
    strip_prefixes,
)
from lpv_mmocr.models import sinusoid

import numpy as np
import pytest
import torch
from lpv_cases import PARITY, SIZES, build_size, released_state_dict, released_table, word_sample

# Small has the same structure as tiny, so its cases would only make a quick run slower.
CASES = [
    pytest.param(size, mask, marks=[] if size == "tiny" else pytest.mark.slow)
    for size in SIZES
    for mask in (False, True)
]


@cache
def _pack(size: str) -> dict[str, np.ndarray]:
    with np.load(PARITY / f"official_{size}_seed2022.npz") as pack:
        return dict(pack)


@cache
def _converted(size: str) -> dict[str, torch.Tensor]:
    return convert_state_dict(released_state_dict(size))


def _model(size: str, with_mask: bool, drop: float = 0.0) -> torch.nn.Module:
    model = build_size(size, with_mask, drop)
    model.load_state_dict(_converted(size), strict=True)
    return model


def _images(size: str, dtype: torch.dtype) -> torch.Tensor:
    return torch.from_numpy(_pack(size)["images_uint8"]).to(dtype) / 255


def _our_targets(size: str) -> torch.Tensor:
    # Class indexes are permuted like the classifier's rows.
    released_order = torch.arange(38)
    return torch.argsort(reorder_classes(released_order))[torch.from_numpy(_pack(size)["targets"])]


def _run(model: torch.nn.Module, images: torch.Tensor) -> dict[str, torch.Tensor]:
    return model.decoder.forward_train(None, model.encoder(images))


@pytest.fixture
def released_tables(monkeypatch):
    monkeypatch.setattr(sinusoid, "sinusoidal_table", released_table)


@pytest.mark.parametrize("size", SIZES)
def test_parameter_count(size):
    model = build_size(size, with_mask=True)
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert trainable == SIZES[size]["trainable"]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float32, 1e-4)])
@pytest.mark.parametrize(("size", "with_mask"), CASES)
def test_logits_and_maps_match(size, with_mask, dtype, tolerance, released_tables):
    pack, prefix = _pack(size), "mask" if with_mask else "nomask"
    model = _model(size, with_mask).to(dtype).eval()
    with torch.no_grad():
        out = _run(model, _images(size, dtype))
    released_logits = torch.from_numpy(pack[f"{prefix}_logits"]).movedim(-1, 0)
    expected = reorder_classes(released_logits).movedim(0, -1)
    torch.testing.assert_close(out["logits"].double(), expected, rtol=0, atol=tolerance)
    expected_maps = torch.from_numpy(pack[f"{prefix}_maps"]).double()
    torch.testing.assert_close(out["attn_maps"].double(), expected_maps, rtol=0, atol=tolerance)


@pytest.mark.parametrize(("size", "with_mask"), CASES)
def test_loss_and_gradients_match(size, with_mask, released_tables):
    pack, prefix = _pack(size), "mask" if with_mask else "nomask"
    model = _model(size, with_mask).double().train()
    samples = model.decoder.module_loss.get_targets([word_sample("linguistic42"), word_sample("a")])
    targets = torch.stack([sample.gt_text.padded_indexes for sample in samples])
    assert torch.equal(targets, _our_targets(size))

    loss = model.decoder.module_loss(_run(model, _images(size, torch.float64)), samples)["loss_cpa"]
    np.testing.assert_allclose(loss.item(), pack[f"{prefix}_train_loss"], rtol=1e-9)

    loss.backward()
    ours = {name: parameter.grad.norm().item() for name, parameter in model.named_parameters()}
    names = strip_prefixes(dict.fromkeys(pack[f"{prefix}_grad_norm_names"].tolist()))
    released = dict(zip(map(rename, names), pack[f"{prefix}_grad_norm_values"], strict=True))
    assert ours.keys() == released.keys()
    # A bias before a batch norm has no effect: its gradient is only rounding error.
    dead = {name for name, norm in released.items() if norm < 1e-9}
    assert len(dead) == 26
    assert all(ours[name] < 1e-9 for name in dead)
    live = sorted(released.keys() - dead)
    np.testing.assert_allclose(
        [ours[name] for name in live], [released[name] for name in live], rtol=1e-6
    )


def test_logits_match_with_our_position_table():
    with torch.no_grad():
        out = _run(_model("tiny", True).double().eval(), _images("tiny", torch.float64))
    expected = reorder_classes(torch.from_numpy(_pack("tiny")["mask_logits"]).movedim(-1, 0))
    torch.testing.assert_close(out["logits"], expected.movedim(0, -1), rtol=0, atol=5e-5)


def test_mask_changes_later_stages_only():
    images = _images("tiny", torch.float32)
    with torch.no_grad():
        plain, masked = (_run(_model("tiny", m).eval(), images)["logits"] for m in (False, True))
    moved = (plain - masked).abs().amax((1, 2, 3))
    assert moved[0] == 0
    assert (moved[1:] > 0.01).all()
