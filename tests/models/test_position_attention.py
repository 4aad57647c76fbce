"""Tests of position attention."""

from __future__ import annotations

import math

from lpv_mmocr.models.position_attention import KeyUNet, PositionAttention
from lpv_mmocr.models.sinusoid import sinusoidal_table

import pytest
import torch
from mmocr.registry import MODELS


@pytest.mark.parametrize("grid", [(8, 25), (6, 40), (1, 26), (5, 3), (1, 1)])
def test_keys_have_the_shape_of_the_features(grid):
    keys = KeyUNet(16, 2)(torch.rand(2, 16, *grid))
    assert keys.shape == (2, 16, *grid)


def test_sizes_inside_the_key_unet():
    unet = KeyUNet(16, 2)
    sizes = []
    for layer in [*unet.down, *unet.up]:
        layer.register_forward_hook(lambda *args: sizes.append(tuple(args[2].shape[-2:])))
    unet(torch.rand(1, 16, 12, 40))
    assert sizes[:4] == [(12, 20), (6, 10), (3, 5), (2, 3)]
    assert sizes[4:] == [(3, 5), (6, 10), (12, 20), (12, 40)]


@torch.no_grad()
def test_attention_matches_loop_over_positions():
    torch.manual_seed(0)
    attention = MODELS.build(dict(type="PositionAttention", dim=16, num_positions=5)).eval()
    features, characters = torch.rand(2, 16, 3, 4), torch.rand(2, 5, 16)
    out, maps = attention(features, characters)
    assert out.shape == (2, 5, 16)
    assert maps.shape == (2, 5, 3, 4)
    keys = attention.key_unet(features)
    table = sinusoidal_table(5, 16)
    for n in range(2):
        for t in range(5):
            query = attention.query(characters[n, t] + table[t])
            scores = torch.tensor(
                [[query @ keys[n, :, y, x] / math.sqrt(16) for x in range(4)] for y in range(3)]
            )
            weights = scores.exp() / scores.exp().sum()
            torch.testing.assert_close(maps[n, t], weights)
            # The values are the features themselves.
            expected = (features[n] * weights).sum((1, 2))
            torch.testing.assert_close(out[n, t], expected)


def test_first_stage_queries_are_shared_by_the_batch():
    attention = PositionAttention(dim=16, num_positions=5).eval()
    features = torch.rand(3, 16, 2, 9)
    shared, _ = attention(features, torch.zeros(1, 5, 16))
    own, _ = attention(features, torch.zeros(3, 5, 16))
    torch.testing.assert_close(shared, own)


def test_maps_stay_float32_under_autocast():
    attention = PositionAttention(dim=16, num_positions=5)
    with torch.autocast("cpu", torch.bfloat16):
        _, maps = attention(torch.rand(2, 16, 4, 8), torch.zeros(1, 5, 16))
    assert maps.dtype == torch.float32
    torch.testing.assert_close(maps.sum((2, 3)), torch.ones(2, 5))


def test_width_too_small_for_default_key_dim_is_refused():
    with pytest.raises(ValueError, match="set key_dim"):
        PositionAttention(dim=4, num_positions=5)
    assert PositionAttention(dim=4, num_positions=5, key_dim=2)
    with pytest.raises(ValueError, match="key_dim must be at least 1, got 0"):
        PositionAttention(dim=32, num_positions=5, key_dim=0)
