"""Hook that shows whether images are made as fast as they are used."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmocr.registry import HOOKS

from .dataset import StreamedWordDataset


@HOOKS.register_module()
class PoolUsageHook(Hook):
    """Hook that logs how the images of a ``StreamedWordDataset`` are used, and ends its processes.

    ``pool_images`` is the number of images in the pool, ``pool_added`` that of all images added to
    it, ``mean_uses`` how often an image has been used on average.

    Args:
        interval: Number of iterations between two logged values.
    """

    def __init__(self, *, interval: int = 100) -> None:
        self.interval = interval
        self._dataset: StreamedWordDataset | None = None

    def before_train(self, runner: Runner) -> None:
        """Store the training dataset, which ``after_run`` stops; a test run has none.

        Raises:
            ValueError: If the training dataset is not a ``StreamedWordDataset``.
        """
        dataset = runner.train_dataloader.dataset
        if not hasattr(dataset, "statistics"):
            raise ValueError(
                f"PoolUsageHook needs a StreamedWordDataset, but the training dataset is a "
                f"{type(dataset).__name__}; remove the hook"
            )
        self._dataset = dataset

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Record the values for the log."""
        if self.every_n_train_iters(runner, self.interval):
            for name, value in self._dataset.statistics().items():
                runner.message_hub.update_scalar(f"train/{name}", value)

    def after_run(self, runner: Runner) -> None:
        """Stop the processes that make images.

        Not in ``after_train``: they finish their chunks first, and the last checkpoint must not
        wait for them when a signal has left the run only seconds. ``StopOnSignalHook``, which
        exits in ``after_run``, runs after this hook because of its lower priority.
        """
        if self._dataset is not None:
            self._dataset.stop()
