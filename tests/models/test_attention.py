from __future__ import annotations

import math

from lpv_mmocr.models.attention import mask_bias, self_attention

import pytest
import torch


def slow_attention(qkv, heads, visible, scale):
    """Return the attention output, computed query by query and head by head in float64."""
    n, length, width = qkv.shape
    dim = width // 3 // heads
    query, key, value = (
        part.view(n, length, heads, dim).double() for part in qkv.split(width // 3, dim=-1)
    )
    out = torch.zeros(n, length, heads, dim, dtype=torch.float64)
    for word in range(n):
        for head in range(heads):
            for i in range(length):
                seen = [j for j in range(length) if visible is None or visible[word, i, j]]
                scores = torch.stack(
                    [query[word, i, head] @ key[word, j, head] * scale for j in seen]
                )
                weights = scores.softmax(0)
                out[word, i, head] = sum(
                    weight * value[word, j, head] for weight, j in zip(weights, seen, strict=True)
                )
    return out.view(n, length, heads * dim)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.03)])
@pytest.mark.parametrize("masked", [False, True])
def test_self_attention_matches_slow_reference(dtype, tolerance, masked):
    generator = torch.Generator().manual_seed(0)
    qkv = torch.randn(2, 5, 24, generator=generator).to(dtype)
    visible = bias = None
    if masked:
        visible = torch.rand(2, 5, 5, generator=generator) > 0.5
        visible[:, :, 2] = True
        bias = mask_bias(visible)[:, None]
    expected = slow_attention(qkv, 2, visible, 0.5)
    found = self_attention(qkv, 2, bias)
    assert found.dtype is dtype
    torch.testing.assert_close(found.double(), expected, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dropout_keeps_the_mean(dtype):
    torch.manual_seed(0)
    qkv = torch.ones(64, 40, 3 * 8, dtype=dtype)  # every output is 1 without dropout
    dropped = self_attention(qkv, 2, dropout=0.2).float()
    assert dropped.std() > 0.02
    assert dropped.mean() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_empty_batch(dropout):
    assert self_attention(torch.empty(0, 5, 3 * 8), 2, dropout=dropout).shape == (0, 5, 8)


def test_hiding_bias_is_minus_infinity_where_hidden():
    bias = mask_bias(torch.tensor([[True, False]]), torch.float64)
    assert bias.tolist() == [[0.0, -math.inf]]
    assert bias.dtype is torch.float64
