"""Tests of the GLRM and its mask."""

from __future__ import annotations

from lpv_mmocr.models import GLRM, linguistic_mask
from lpv_mmocr.models.dropout import Dropout
from lpv_mmocr.models.glrm import MaskedEncoderLayer, TokenMask
from lpv_mmocr.models.sinusoid import sinusoidal_table

import pytest
import torch
from torch import nn

PRECISIONS = [torch.float64, torch.float32, torch.bfloat16, torch.float16]


def test_mask_follows_its_definition():
    torch.manual_seed(0)
    maps = torch.rand(2, 4, 2, 3) * 0.1
    forbidden = linguistic_mask(maps, threshold=0.05)
    flat = maps.flatten(2)
    for n in range(2):
        for i in range(6):
            for j in range(6):
                together = any(flat[n, t, i] > 0.05 and flat[n, t, j] > 0.05 for t in range(4))
                assert forbidden[n, i, j] == together


def test_mask_is_strict_at_threshold_and_has_no_gradient():
    maps = torch.full((1, 1, 1, 2), 0.05, dtype=torch.float64, requires_grad=True)
    forbidden = linguistic_mask(maps, threshold=0.05)
    assert not forbidden.any()  # strictly greater
    assert not forbidden.requires_grad


@pytest.mark.parametrize("masked", [False, True])
def test_layer_matches_pytorch(masked):
    """Unless a token has every key masked, the layer is PyTorch's post-norm layer."""
    torch.manual_seed(0)
    ours = MaskedEncoderLayer(16, 4, 32, dropout=0.0)
    theirs = nn.TransformerEncoderLayer(16, 4, 32, dropout=0.0, activation="gelu", batch_first=True)
    theirs.load_state_dict(ours.state_dict())
    tokens = torch.rand(2, 5, 16)
    forbidden = mask = None
    if masked:
        forbidden = torch.rand(2, 5, 5) > 0.6
        forbidden[:, :, 0] = False
        mask = forbidden.repeat_interleave(4, dim=0)
    # In training mode, PyTorch's layer does not take its fast path.
    out = ours(tokens, None if forbidden is None else TokenMask.from_forbidden(forbidden))
    torch.testing.assert_close(out, theirs(tokens, src_mask=mask))


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_token_with_every_key_masked_attends_to_nothing(dtype):
    torch.manual_seed(0)
    layer = MaskedEncoderLayer(16, 4, 32, dropout=0.0)
    layer = layer.to(dtype)
    nn.init.normal_(layer.self_attn.out_proj.bias)  # initially zero, which would hide it
    tokens = torch.rand(2, 5, 16).to(dtype).requires_grad_()
    forbidden = torch.zeros(2, 5, 5, dtype=torch.bool)
    forbidden[0, 2] = True  # every key for token 2 of word 0
    forbidden[1] = True  # every key for every token of word 1
    out = layer(tokens, TokenMask.from_forbidden(forbidden))
    assert out.isfinite().all()

    # Zero before the output projection, so only its bias is added to the residual.
    x = layer.norm1(tokens + layer.self_attn.out_proj.bias)
    expected = layer.norm2(x + layer.linear2(nn.functional.gelu(layer.linear1(x))))
    tolerance = dict(rtol=0, atol=1e-6 if dtype in (torch.float64, torch.float32) else 5e-2)
    torch.testing.assert_close(out[0, 2], expected[0, 2], **tolerance)
    torch.testing.assert_close(out[1], expected[1], **tolerance)

    out.float().square().sum().backward()
    assert tokens.grad.isfinite().all()
    assert all(p.grad.isfinite().all() for p in layer.parameters())


@pytest.mark.parametrize("amp_dtype", [torch.bfloat16, torch.float16])
def test_fully_masked_tokens_stay_finite_under_autocast(amp_dtype):
    glrm = GLRM(dim=16, num_layers=2, num_heads=4, ffn_dim=32)
    features = torch.rand(2, 16, 2, 5, requires_grad=True)
    with torch.autocast("cpu", amp_dtype):
        out = glrm(features, torch.ones(2, 10, 10, dtype=torch.bool))
        out.float().square().mean().backward()
    assert out.isfinite().all()
    assert features.grad.isfinite().all()


def test_masked_key_has_no_influence():
    torch.manual_seed(0)
    layer = MaskedEncoderLayer(16, 4, 32, dropout=0.0)
    tokens = torch.rand(1, 4, 16)
    changed = tokens.clone()
    changed[0, 0] += 1
    forbidden = torch.zeros(1, 4, 4, dtype=torch.bool)
    forbidden[0, 1] = True
    forbidden[0, 2, 0] = True
    mask = TokenMask.from_forbidden(forbidden)
    moved = (layer(tokens, mask) - layer(changed, mask)).abs().amax((0, 2)) > 1e-6
    assert moved.tolist() == [True, False, False, True]


def test_position_table_is_added_in_token_order():
    glrm = GLRM(dim=8, num_layers=0, num_heads=2)
    out = glrm.eval()(torch.zeros(1, 8, 3, 4))
    torch.testing.assert_close(out[0].flatten(1).T, sinusoidal_table(12, 8))


def test_dropout_rate_reaches_every_dropout():
    glrm = GLRM(dim=8, num_layers=1, num_heads=2, dropout=0.1)
    layer = glrm.layers[0]
    dropouts = (glrm.dropout, layer.dropout, layer.dropout1, layer.dropout2)
    assert {dropout.p for dropout in dropouts} == {0.1}
    assert {type(dropout) for dropout in dropouts} == {Dropout}
    assert layer.self_attn.dropout == 0.1
    # Measured after the position table: a tenth of a large input is gone, the rest scaled up.
    torch.manual_seed(0)
    out = GLRM(dim=8, num_layers=0, num_heads=2, dropout=0.1)(torch.full((4, 8, 50, 50), 100.0))
    assert (out == 0).float().mean().item() == pytest.approx(0.1, abs=0.01)
    assert out.mean().item() == pytest.approx(100, rel=0.02)


def test_dropout_acts_on_attention_weights():
    torch.manual_seed(0)
    layer = MaskedEncoderLayer(8, 2, 16, dropout=0.0)
    layer.self_attn.dropout = 0.5
    tokens = torch.rand(1, 6, 8)
    assert not torch.equal(layer(tokens), layer(tokens))
    layer.eval()
    assert torch.equal(layer(tokens), layer(tokens))


def test_layers_start_equal_and_have_no_final_norm():
    glrm = GLRM(dim=16, num_layers=3, num_heads=4)
    states = [layer.state_dict() for layer in glrm.layers]
    for name, value in states[0].items():
        assert all(torch.equal(value, state[name]) for state in states[1:]), name
    assert [name for name, _ in glrm.named_children()] == ["layers", "position", "dropout"]
    assert all(layer.norm1.eps == 1e-5 for layer in glrm.layers)


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="num_heads=8 does not divide the feature width 12"):
        GLRM(dim=12)


def test_number_of_layers_must_not_be_negative():
    with pytest.raises(ValueError, match="num_layers must not be negative, got -1"):
        GLRM(dim=16, num_layers=-1)


@pytest.mark.parametrize("name", ["linear1", "linear2", "self_attn.out_proj"])
def test_linear_layers_can_be_replaced(name):
    """Adapters such as LoRA replace layers by modules of their own."""

    class Adapter(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x):
            seen.append(x.shape)
            return self.inner(x) + 1

    seen = []
    layer = MaskedEncoderLayer(8, 2, 12, dropout=0.0)
    tokens = torch.rand(2, 3, 8)
    before = layer(tokens)
    layer.set_submodule(name, Adapter(layer.get_submodule(name)))
    assert not torch.equal(layer(tokens), before)
    assert len(seen) == 1


def test_layer_starts_from_the_weights_of_pytorch():
    torch.manual_seed(3)
    ours = MaskedEncoderLayer(8, 2, 12, dropout=0.0).state_dict()
    torch.manual_seed(3)
    theirs = nn.TransformerEncoderLayer(8, 2, 12, batch_first=True).state_dict()
    assert list(ours) == list(theirs)
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
