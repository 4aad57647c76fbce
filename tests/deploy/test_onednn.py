from __future__ import annotations

from lpv_mmocr.deploy.layers import fold_batch_norm, pack
from lpv_mmocr.deploy.onednn import MAX_SIZES, PackedConv2d, PackedLinear, can_pack

import pytest
import torch
from torch import nn

DTYPES = [torch.float32, torch.bfloat16]


def require(dtype: torch.dtype) -> None:
    if not can_pack(dtype):
        pytest.skip(f"this machine has no packed operators for {dtype}")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", [None, nn.GELU(), nn.GELU(approximate="tanh"), nn.ReLU()])
def test_packed_linear_matches_linear(dtype, activation):
    require(dtype)
    linear = nn.Linear(24, 40).to(dtype)
    packed = PackedLinear(linear, activation)
    for shape in ((7, 24), (2, 9, 24)):
        x = torch.randn(shape).to(dtype)
        expected = linear(x) if activation is None else activation(linear(x))
        tolerance = 1e-5 if dtype is torch.float32 else 0.03
        torch.testing.assert_close(packed(x), expected, atol=tolerance, rtol=tolerance)


def test_packed_linear_without_bias_on_strided_input():
    require(torch.float32)
    linear = nn.Linear(24, 40, bias=False)
    x = torch.randn(2, 24, 9).transpose(1, 2)
    torch.testing.assert_close(PackedLinear(linear)(x), linear(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("stride", [1, (1, 2)])
@pytest.mark.parametrize("activation", [None, nn.GELU(), nn.ReLU()])
def test_packed_conv_matches_conv(dtype, stride, activation):
    require(dtype)
    conv = nn.Conv2d(6, 10, 3, stride=stride, padding=1).to(dtype)
    packed = PackedConv2d(conv, activation)
    x = torch.randn(2, 6, 8, 13).to(dtype)
    expected = conv(x) if activation is None else activation(conv(x))
    tolerance = 1e-5 if dtype is torch.float32 else 0.03
    torch.testing.assert_close(packed(x), expected, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
def test_weights_of_a_conv_are_packed_for_each_size_of_maps(dtype, monkeypatch):
    """In another order, oneDNN sorts them in every call, which is slow for these channels."""
    require(dtype)
    sizes, pack = [], torch.ops.mkldnn._reorder_convolution_weight

    def note_size(*arguments):
        sizes.append(arguments[-1])
        return pack(*arguments)

    monkeypatch.setattr(torch.ops.mkldnn, "_reorder_convolution_weight", note_size)
    conv = nn.Conv2d(32, 192, 3, padding=1).to(dtype).requires_grad_(False)
    packed = PackedConv2d(conv)
    tolerance = 1e-5 if dtype is torch.float32 else 0.03
    widths = range(10, 10 + MAX_SIZES)
    for width in (*widths, *widths, 25, 10):
        for number in (1, 3):
            x = torch.randn(number, 32, 2, width).to(dtype)
            torch.testing.assert_close(packed(x), conv(x), atol=tolerance, rtol=tolerance)
    # The first size was replaced when there was one more than can be kept.
    assert sizes == [[1, 32, 2, width] for width in (*widths, 25, 10)]
    assert len(packed.packed) == MAX_SIZES


def test_float64_and_float16_are_not_packed():
    assert not can_pack(torch.float64)
    assert not can_pack(torch.float16)


def test_derived_layers_are_not_packed():
    class Doubled(nn.Linear):
        def forward(self, x):
            return 2 * super().forward(x)

    model = nn.Sequential(Doubled(4, 4), nn.Linear(4, 4))
    x = torch.rand(2, 4)
    expected = model(x)
    pack(model)
    assert type(model[0]) is Doubled and type(model[1]) is not nn.Linear
    torch.testing.assert_close(model(x), expected)


def test_batch_norm_is_folded():
    norm = nn.BatchNorm2d(5)
    with torch.no_grad():
        norm.weight.uniform_(0.5, 2)
        norm.bias.normal_()
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    model = nn.Sequential(nn.Conv2d(3, 5, 3), norm, nn.ReLU()).eval()
    x = torch.randn(2, 3, 9, 9)
    expected = model(x)
    fold_batch_norm(model)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    torch.testing.assert_close(model(x), expected, atol=1e-5, rtol=1e-5)
