"""Training loop that continues exactly where it was interrupted."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.logging import print_log
from mmengine.runner import IterBasedTrainLoop, Runner
from mmengine.runner.base_loop import BaseLoop
from mmengine.runner.utils import calc_dynamic_intervals
from mmocr.registry import LOOPS
from torch.utils.data import DataLoader

from ..datasets import set_start_iteration
from .random_state import random_state, set_random_state, unchanged_random_state
from .reproducible_batches import reproducible

RANDOM_STATES = "random_states"
"""Message hub key of every process's random state, present while a checkpoint is written."""

_BATCH_LAYOUT = "batch_layout"
_VALIDATED_ITERATION = "last_validation"


@LOOPS.register_module()
class ResumableIterBasedTrainLoop(IterBasedTrainLoop):
    """Iteration-based training loop; a resumed run continues as if never interrupted.

    MMEngine's ``IterBasedTrainLoop`` resumes by loading and discarding every past batch, draws
    different random numbers than before, and skips a validation that was due. This loop

    - starts directly at the batch of its iteration,
    - loads in each iteration what it would have loaded without the interruption, including
      augmentation, whatever the number of workers (:mod:`lpv_mmocr.engine.reproducible_batches`),
    - continues the model's random numbers (dropout, stochastic depth) in every process, if
      :class:`lpv_mmocr.engine.AtomicCheckpointHook` wrote the checkpoint,
    - catches up on a validation that the interruption prevented,
    - keeps validation from changing the random numbers of training.

    The batch size and the number of processes must be those of the interrupted run; otherwise a
    warning is logged and the run continues with a different order of samples.

    Args:
        runner: Runner of the training run.
        dataloader: Data loader or its config, with ``ResumableInfiniteSampler``, alone or with
            ``SourceShareBatchSampler``.
        max_iters: Number of iterations to train.
        val_begin: First iteration that may be followed by a validation.
        val_interval: Iterations between two validations; one also follows the last iteration,
            unless a hook stops training earlier.
        dynamic_intervals: Pairs of an iteration and the ``val_interval`` from there on.

    Attributes:
        at_end: Exit stack of callbacks to run when training ends, even with an error.

    Raises:
        TypeError: If the sampler cannot start in the middle.
        ValueError: If ``max_iters`` is not a whole number, or an interval of validations is not
            positive. When training starts, if the checkpoint is beyond ``max_iters``.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: DataLoader | dict,
        max_iters: int,
        val_begin: int = 1,
        val_interval: int = 1000,
        dynamic_intervals: Sequence[tuple[int, int]] | None = None,
    ) -> None:
        if int(max_iters) != max_iters:
            raise ValueError(f"max_iters must be a whole number, got {max_iters!r}")
        if max_iters < 1:
            raise ValueError(f"max_iters must be at least 1, got {max_iters}")
        intervals = [val_interval, *(interval for _, interval in dynamic_intervals or ())]
        if any(interval < 1 for interval in intervals):
            raise ValueError(
                "val_interval must be at least 1 iteration, also in dynamic_intervals; what turns "
                "validation off is val_dataloader = val_cfg = val_evaluator = None"
            )
        # The constructor of IterBasedTrainLoop is skipped: it starts the workers, which would fetch
        # the first batches before a checkpoint determines which ones are needed.
        BaseLoop.__init__(self, runner, dataloader)
        self._make_reproducible(dataloader)
        self._max_iters = int(max_iters)
        self._max_epochs = 1  # the complete training run, as in IterBasedTrainLoop
        self._epoch = 0
        self._iter = 0
        self.val_begin = val_begin
        self.val_interval = val_interval
        self.stop_training = False
        self.dynamic_milestones, self.dynamic_intervals = calc_dynamic_intervals(
            val_interval, dynamic_intervals
        )
        self._training_random_state: dict[str, Any] | None = None
        self.at_end = contextlib.ExitStack()
        runner.visualizer.dataset_meta = getattr(self.dataloader.dataset, "metainfo", None)

    def run(self) -> Any:
        """Train from the current iteration to the last.

        Returns:
            The model.
        """
        if self._iter > self._max_iters:
            raise ValueError(
                f"The checkpoint is at iteration {self._iter}, and train_cfg.max_iters is "
                f"{self._max_iters}: there is nothing to resume. Resume an earlier checkpoint, or "
                "raise max_iters"
            )
        with self.at_end:
            self._follow_seed()  # before hooks get hold of the data loader
            self.runner.call_hook("before_train")
            self.runner.call_hook("before_train_epoch")
            if not self.stop_training:
                self._start_data()
                if self._iter > 0:
                    self._decide_current_val_interval()
                    self._validate_if_due()
            while self._iter < self._max_iters and not self.stop_training:
                self.runner.model.train()
                self.run_iter(next(self.dataloader_iterator))
                self._decide_current_val_interval()
                if not self.stop_training:
                    self._validate_if_due()
            self.runner.call_hook("after_train_epoch")
            self.runner.call_hook("after_train")
        return self.runner.model

    def random_state(self) -> dict[str, Any]:
        """Return this process's random state of training, for a checkpoint written now."""
        return self._training_random_state or random_state()

    def _make_reproducible(self, dataloader: DataLoader | dict) -> None:
        self._given_dataloader = dataloader
        self._seed = self.runner.seed
        self.dataloader = reproducible(self.dataloader, seed=self._seed)

    def _follow_seed(self) -> None:
        if self.runner.seed == self._seed:
            return
        # A checkpoint has the seed of the interrupted run, which may be missing in the config or
        # differ there; it is known only now.
        if isinstance(self._given_dataloader, dict) and hasattr(self.dataloader.dataset, "stop"):
            self.dataloader.dataset.stop()  # a StreamedWordDataset has processes and a folder
        BaseLoop.__init__(self, self.runner, self._given_dataloader)
        self._make_reproducible(self._given_dataloader)

    def _start_data(self) -> None:
        self._refuse_different_starts()
        if get_world_size() > 1:
            self._refuse_different_data()
            # If no state is restored below, dropout would otherwise drop the same features in all
            # processes.
            torch.manual_seed(self._seed + 10_007 * get_rank() + self._iter)
        same_layout = self._compare_batch_layout()
        set_start_iteration(self.dataloader, self._iter)
        self.dataloader_iterator = iter(self.dataloader)
        self.at_end.callback(self._end_workers)
        # Last, since a data loader draws a random number for its workers.
        states = self.runner.message_hub.pop_info(RANDOM_STATES)
        if self._iter > 0 and same_layout:
            self._restore(states)

    def _refuse_different_starts(self) -> None:
        """Raise an error if processes start at different iterations: their weights would differ."""
        starts = all_gather_object(self._iter)
        if len(set(starts)) > 1:
            raise RuntimeError(
                f"The processes begin at different iterations ({', '.join(map(str, starts))}), so "
                "they have not found the same checkpoint: give all machines the same shared "
                "--work-dir"
            )

    def _refuse_different_data(self) -> None:
        """Raise an error if processes have datasets of different sizes, as on several machines."""
        loops = [self] if self.runner.val_loop is None else [self, self.runner.val_loop]
        for name, loop in zip(("training", "validation"), loops, strict=False):
            sizes = all_gather_object(len(loop.dataloader.dataset))
            if len(set(sizes)) > 1:
                raise RuntimeError(
                    f"The processes have different {name} data, of {', '.join(map(str, sizes))} "
                    "samples: give all machines the same"
                )

    def _end_workers(self) -> None:
        """End the worker processes of training, and persistent ones of validation.

        Otherwise the garbage collector may destroy the queues of an iterator before that tells its
        workers to exit; PyTorch then waits five seconds for each, in whatever code runs then.
        """
        loops = [self] if self.runner.val_loop is None else [self, self.runner.val_loop]
        # Persistent workers belong to their data loader. It has no public method to end them, and
        # dropping the iterator is not enough: the traceback of an error in the data refers to it.
        keepers = [loop.dataloader for loop in loops if hasattr(loop.dataloader, "_iterator")]
        for iterator in (self.dataloader_iterator, *(keeper._iterator for keeper in keepers)):
            if hasattr(iterator, "_shutdown_workers"):  # it has workers
                iterator._shutdown_workers()
        del self.dataloader_iterator
        for keeper in keepers:
            keeper._iterator = None

    def _compare_batch_layout(self) -> bool:
        """Return whether the batch size and the number of processes match the checkpoint's."""
        hub = self.runner.message_hub
        now = [self.dataloader.batch_sampler.batch_size, get_world_size()]
        before = hub.get_info(_BATCH_LAYOUT, now)
        hub.update_info(_BATCH_LAYOUT, now)
        if list(before) == now:
            return True
        print_log(
            f"The checkpoint is of a run with batches of {before[0]} in {before[1]} process(es); "
            f"this one has batches of {now[0]} in {now[1]}. It continues at iteration "
            f"{self._iter}, but with a different order of samples and different random numbers; "
            "the schedule still counts iterations.",
            logger="current",
            level=logging.WARNING,
        )
        return False

    def _restore(self, states: list[dict[str, Any]] | None) -> None:
        if states is not None:
            set_random_state(states[get_rank()])
            return
        print_log(
            "The checkpoint holds no random state, so dropout starts with new random numbers; "
            "AtomicCheckpointHook writes checkpoints that hold it.",
            logger="current",
            level=logging.WARNING,
        )

    def _validate_if_due(self) -> None:
        hub = self.runner.message_hub
        due = self._iter % self.val_interval == 0 or self._iter == self._max_iters
        if (
            self.runner.val_loop is None
            or self._iter < self.val_begin
            or not due
            or hub.get_info(_VALIDATED_ITERATION) == self._iter
        ):
            return
        # Set before it runs, for the checkpoint that is written after a new best score.
        hub.update_info(_VALIDATED_ITERATION, self._iter)
        with unchanged_random_state() as self._training_random_state:
            self.runner.val_loop.run()
        self._training_random_state = None
