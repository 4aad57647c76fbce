"""Whether pictures are made as fast as they are used."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmocr.registry import HOOKS


@HOOKS.register_module()
class PoolUsageHook(Hook):
    """Logs how many pictures a ``StreamedWordDataset`` holds and how often each was used.

    Args:
        interval: Iterations between two values.
    """

    def __init__(self, *, interval: int = 100) -> None:
        self.interval = interval

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Note the values for the log."""
        if self.every_n_train_iters(runner, self.interval):
            for name, value in runner.train_dataloader.dataset.statistics().items():
                runner.message_hub.update_scalar(f"train/{name}", value)

    def after_run(self, runner: Runner) -> None:
        """End the processes that make pictures.

        Not in ``after_train``: they finish their chunks first, and the last checkpoint must not
        wait for them where a signal has left the run seconds to live. ``StopOnSignalHook``, which
        exits in ``after_run``, comes behind this hook by its priority.
        """
        runner.train_dataloader.dataset.stop()
