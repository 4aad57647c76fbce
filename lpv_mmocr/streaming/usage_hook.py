"""Whether pictures are made as fast as they are used."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmocr.registry import HOOKS

from .dataset import StreamedWordDataset


@HOOKS.register_module()
class PoolUsageHook(Hook):
    """Logs how many pictures a ``StreamedWordDataset`` holds and how often each was used.

    Args:
        interval: Iterations between two values.
    """

    def __init__(self, *, interval: int = 100) -> None:
        self.interval = interval
        self._dataset: StreamedWordDataset | None = None

    def before_train(self, runner: Runner) -> None:
        """Remember what to stop; a test has no training data.

        Raises:
            ValueError: If the training data are another kind of data set.
        """
        dataset = runner.train_dataloader.dataset
        if not hasattr(dataset, "statistics"):
            raise ValueError(
                f"PoolUsageHook tells of a StreamedWordDataset, and this is a "
                f"{type(dataset).__name__}: leave the hook out"
            )
        self._dataset = dataset

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Note the values for the log."""
        if self.every_n_train_iters(runner, self.interval):
            for name, value in self._dataset.statistics().items():
                runner.message_hub.update_scalar(f"train/{name}", value)

    def after_run(self, runner: Runner) -> None:
        """End the processes that make pictures.

        Not in ``after_train``: they finish their chunks first, and the last checkpoint must not
        wait for them where a signal has left the run seconds to live. ``StopOnSignalHook``, which
        exits in ``after_run``, comes behind this hook by its priority.
        """
        if self._dataset is not None:
            self._dataset.stop()
