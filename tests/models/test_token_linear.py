from __future__ import annotations

from lpv_mmocr.models import token_linear as module
from lpv_mmocr.models.token_linear import TokenLinear, token_linear

import pytest
import torch
import torch.nn.functional as F
from torch import nn


@pytest.mark.parametrize("batch", [2, 16])
@pytest.mark.parametrize("with_bias", [False, True])
def test_both_paths_equal_linear_forward_and_backward(monkeypatch, batch, with_bias):
    torch.manual_seed(0)
    results = []
    x, weight, bias = torch.randn(batch, 7, 12), torch.randn(20, 12), torch.randn(20)
    upstream = torch.randn(batch, 7, 20)
    for convolves in (True, False):
        monkeypatch.setattr(module, "_convolves", lambda x, convolves=convolves: convolves)
        inputs = [x.clone().requires_grad_(), weight.clone().requires_grad_()]
        inputs += [bias.clone().requires_grad_()] if with_bias else []
        out = token_linear(inputs[0], inputs[1], inputs[2] if with_bias else None)
        out.backward(upstream)
        results.append([out.detach(), *(tensor.grad for tensor in inputs)])
    assert torch.equal(results[1][0], F.linear(x, weight, bias if with_bias else None))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_convolution_is_used_for_large_float32_cpu_batches():
    tokens = torch.zeros(module.MIN_BATCH, 3, 4)
    assert module._convolves(tokens) == torch.backends.mkldnn.is_available()
    assert not module._convolves(tokens.double())
    assert not module._convolves(tokens[0])
    assert not module._convolves(tokens.to("meta"))
    with torch.autocast("cpu", torch.bfloat16):
        assert not module._convolves(tokens)


def test_state_dict_is_that_of_nn_linear():
    layer = TokenLinear(4, 6)
    plain = nn.Linear(4, 6)
    plain.load_state_dict(layer.state_dict())
    x = torch.rand(2, 3, 4)
    torch.testing.assert_close(layer(x), plain(x))
