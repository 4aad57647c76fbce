"""Tests of logging pool usage; for the end of a run see tests/engine/test_training_hooks.py."""

from __future__ import annotations

from types import SimpleNamespace

from lpv_mmocr.streaming import PoolUsageHook

import pytest
from mmengine.logging import MessageHub


def test_usage_is_logged_at_the_interval():
    hub = MessageHub.get_instance("pool_usage")
    dataset = SimpleNamespace(statistics=lambda: dict(mean_uses=2.5))
    runner = SimpleNamespace(
        iter=8, message_hub=hub, train_dataloader=SimpleNamespace(dataset=dataset)
    )
    hook = PoolUsageHook(interval=10)
    hook.before_train(runner)
    hook.after_train_iter(runner, 8)
    assert not hub.log_scalars
    runner.iter = 9
    hook.after_train_iter(runner, 9)
    assert hub.get_scalar("train/mean_uses").current() == 2.5


def test_other_datasets_are_refused():
    runner = SimpleNamespace(train_dataloader=SimpleNamespace(dataset=[]))
    with pytest.raises(ValueError, match=r"needs a StreamedWordDataset, but .* is a list"):
        PoolUsageHook().before_train(runner)


def test_testing_builds_no_training_data():
    """A runner builds its training data, and so its pool, when they are first accessed."""
    PoolUsageHook().after_run(SimpleNamespace())
