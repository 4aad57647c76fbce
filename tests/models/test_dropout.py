from __future__ import annotations

import math

from lpv_mmocr.models.dropout import Dropout, dropout

import pytest
import torch
import torch.nn.functional as F


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_fraction_of_zeros_scale_and_gradient(dtype, p):
    x = torch.full((50, 4001), 2.0, dtype=dtype, requires_grad=True)
    out = dropout(x, p)
    out.sum(dtype=torch.float32).backward()
    assert (out.dtype, out.shape) == (dtype, x.shape)
    zeros = out == 0
    # Five standard deviations of a binomial distribution.
    assert abs(zeros.float().mean() - p) < 5 * math.sqrt(p * (1 - p) / x.numel())
    scale = torch.tensor(1 / (1 - round(p * 2**16) / 2**16)).to(dtype)
    assert torch.equal(out[~zeros].unique(), (2 * scale)[None])
    assert torch.equal(x.grad, torch.where(zeros, 0, scale))


def test_elements_are_independent():
    """Four elements share one random number."""
    kept = (dropout(torch.ones(100_000, 4), 0.5) > 0).double()
    for lag in (1, 2, 3, 4):
        flat = kept.flatten()
        correlation = torch.corrcoef(torch.stack([flat[:-lag], flat[lag:]]))[0, 1]
        assert abs(correlation) < 5 / math.sqrt(len(flat))
    # All sixteen patterns of four are equally likely.
    patterns = (kept @ torch.tensor([1.0, 2, 4, 8], dtype=torch.float64)).long().bincount()
    assert len(patterns) == 16
    assert (patterns - 6250).abs().max() < 5 * math.sqrt(6250)


def test_numbers_come_from_pytorchs_generator():
    x = torch.ones(7, 9)
    torch.manual_seed(3)
    first, second = dropout(x, 0.5), dropout(x, 0.5)
    torch.manual_seed(3)
    assert torch.equal(dropout(x, 0.5), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("shape", [(), (1,), (3,), (5, 1, 1), (0, 4)])
def test_any_shape_is_accepted(shape):
    assert dropout(torch.ones(shape), 0.5).shape == shape


def test_non_contiguous_tensor_is_supported():
    x = torch.arange(1.0, 13).view(3, 4).t()
    out = dropout(x, 0.5)
    assert torch.equal(out[out > 0], (2 * x)[out > 0])


def test_default_device_is_ignored():
    x = torch.ones(100)
    with torch.device("meta"):
        assert 0 < (dropout(x, 0.5) == 0).sum() < 100


def test_rates_at_and_beyond_the_limits():
    x = torch.ones(100)
    assert torch.equal(dropout(x, 0), x)
    for p in (1, 1 - 1e-6):
        assert torch.equal(dropout(x, p), torch.zeros(100))
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\], got 1\.5"):
        dropout(x, 1.5)


def test_other_devices_and_compilers_use_pytorch_dropout(monkeypatch):
    calls = []
    monkeypatch.setattr(F, "dropout", lambda x, p: calls.append(p) or x)
    dropout(torch.ones(3, device="meta"), 0.25)
    assert calls == [0.25]
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    dropout(torch.ones(3), 0.75)
    assert calls == [0.25, 0.75]


def test_layer_acts_in_training_only():
    layer, x = Dropout(0.5), torch.ones(1000)
    assert 0 < (layer(x) == 0).sum() < 1000
    assert layer.eval()(x) is x
    assert "p=0.5" in repr(layer)
