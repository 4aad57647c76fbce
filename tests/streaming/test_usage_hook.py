"""The log of a pool's use; the end of a training: tests/engine/test_training_hooks.py."""

from __future__ import annotations

from types import SimpleNamespace

from lpv_mmocr.streaming import PoolUsageHook

import pytest
from mmengine.logging import MessageHub


def test_use_is_logged():
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


def test_other_data_sets_have_no_pool():
    runner = SimpleNamespace(train_dataloader=SimpleNamespace(dataset=[]))
    with pytest.raises(ValueError, match=r"needs a StreamedWordDataset, but .* is a list"):
        PoolUsageHook().before_train(runner)


def test_test_builds_no_training_data():
    """A runner builds its training data, and so its pool, when it is asked for them."""
    PoolUsageHook().after_run(SimpleNamespace())
