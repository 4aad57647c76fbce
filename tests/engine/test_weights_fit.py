"""Tests of comparing checkpoints with models (masks: tests/engine/test_weights_hooks.py)."""

from __future__ import annotations

from lpv_mmocr.engine.weights_fit import (
    InitialWeightsError,
    differences,
    mismatches,
    require_fit,
    weights_inside,
)

import pytest
import torch
from torch import nn


def weights(**shapes: tuple[int, ...]) -> dict[str, torch.Tensor]:
    return {name: torch.zeros(shape) for name, shape in shapes.items()}


def test_missing_other_and_left_over_weights_are_named():
    wanted, given = weights(a=(2,), b=(2, 3), c=(1,)), weights(b=(3, 2), c=(1,), d=(4,))
    problems = ["a is missing", "b has the shape (3, 2) instead of (2, 3)"]
    assert mismatches(wanted, given) == problems
    assert differences(wanted, given) == [*problems, "d is left over"]
    assert differences(wanted, wanted) == []


def test_counts_of_batches_may_be_missing():
    model = nn.BatchNorm1d(2)
    state = model.state_dict()
    del state["num_batches_tracked"]
    require_fit(model, state)
    del state["running_mean"]
    with pytest.raises(InitialWeightsError, match="running_mean is missing"):
        require_fit(model, state)


@pytest.mark.parametrize("wrap", [lambda state: state, lambda state: dict(state_dict=state)])
def test_prefix_of_distributed_training_is_removed(wrap):
    assert list(weights_inside(wrap(weights(**{"module.a": (1,), "b.module.c": (1,)})))) == [
        "a",
        "b.module.c",
    ]


def test_weights_that_other_models_do_not_have_are_ignored():
    """Checkpoints of MMOCR's model zoo have some."""
    model = nn.Linear(2, 1)
    require_fit(model, dict(state_dict={**model.state_dict(), **weights(more=(1,))}))
    with pytest.raises(InitialWeightsError, match="1 of 2 weights do not fit, among them bias is"):
        require_fit(model, weights(weight=(1, 2)))
