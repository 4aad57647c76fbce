"""Tests of ``torch.compile`` on the models, with a backend that counts the graphs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from deploy.deploy_cases import images, settle
from lpv_cases import build_toy, word_sample


class GraphCounter:
    """Backend of ``torch.compile`` that counts graphs and runs them as they are."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Callable:
        self.count += 1
        return graph.forward


@pytest.fixture
def graphs():
    torch._dynamo.reset()
    yield GraphCounter()
    torch._dynamo.reset()


@pytest.mark.slow
def test_training_is_compiled_once_for_all_words(graphs):
    model = settle(build_toy(with_mask=True))
    batch = images(model, 2)
    labels = [["ab", "7"], ["word", ""], ["0123456789", "x"], ["z", "zz"]]
    expected = [loss_of(model, batch, words) for words in labels]
    model.forward = torch.compile(model.forward, backend=graphs, dynamic=False)
    for words, loss in zip(labels, expected, strict=True):
        torch.testing.assert_close(loss_of(model, batch, words), loss)
    # At most one graph each for encoder, decoder and loss.
    assert 1 <= graphs.count <= 3


def test_deployed_model_is_compiled_once(graphs):
    model = settle(build_toy(with_mask=True))
    batch = images(model, 2)
    expected = model.to_deploy().logits(batch)
    deployed = model.to_deploy()
    deployed._read = torch.compile(deployed._read, backend=graphs, fullgraph=True)
    for _ in range(3):
        torch.testing.assert_close(deployed.logits(batch), expected)
    assert graphs.count == 1


def loss_of(model, batch: torch.Tensor, words: list[str]) -> torch.Tensor:
    return model(batch, [word_sample(word) for word in words], mode="loss")["loss_cpa"].detach()
