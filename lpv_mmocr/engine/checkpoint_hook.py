"""Saving checkpoints such that a complete one is on disk at all times."""

from __future__ import annotations

import math
from itertools import chain
from pathlib import Path

from mmengine.dataset import InfiniteSampler
from mmengine.dist import all_gather_object, all_reduce_params, is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.runner import EpochBasedTrainLoop, Runner
from mmocr.registry import HOOKS
from torch.utils.data import DataLoader

from ..atomic_files import PARTIAL_SUFFIX
from ..datasets import ResumableInfiniteSampler, SourceShareBatchSampler
from .atomic_file_backend import ATOMIC_BACKEND
from .checkpoint_io import CheckpointError
from .checkpoint_search import LAST_CHECKPOINT
from .loops import RANDOM_STATES
from .random_state import random_state

_ENDLESS = (InfiniteSampler, ResumableInfiniteSampler, SourceShareBatchSampler)
_HALF_WRITTEN = [f"{name}*{PARTIAL_SUFFIX}" for name in ("*.pth", LAST_CHECKPOINT)]


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """``CheckpointHook`` that never leaves a run without a complete checkpoint.

    MMEngine's hook writes directly into the final file, and deletes the previous best checkpoint,
    and the oldest of those it keeps, before it writes the new one. This hook

    - gives a file its final name once it is complete and on disk (:class:`AtomicLocalBackend`),
    - deletes old checkpoints after that, so the disk needs room for one more than are kept,
    - stores the random state of every process in the checkpoint, for
      :class:`lpv_mmocr.engine.ResumableIterBasedTrainLoop`,
    - saves a run that another hook stops early, at the iteration where it stopped.

    If a checkpoint cannot be written, e.g. because the disk is full, the hook logs an error and
    training continues: the last complete checkpoint still exists, and space can be freed before the
    next one is due. The run ends with an error if ``max_failures`` writes in a row fail, or if the
    final checkpoint cannot be written.

    Args:
        interval: Iterations between two checkpoints.
        max_failures: Number of failed writes in a row after which the run ends.
        **kwargs: Other arguments of ``mmengine.hooks.CheckpointHook``: ``max_keep_ckpts``,
            ``save_best``, ``rule`` and so on. Files are written to local folders.

    Raises:
        CheckpointError: During training, as described above.
        ValueError: If an argument is out of range, or asks for epochs or for remote storage.
    """

    def __init__(self, *, interval: int, max_failures: int = 3, **kwargs) -> None:
        if interval < 1:
            raise ValueError(f"interval must be at least 1 iteration, got {interval}")
        if max_failures < 1:
            raise ValueError(f"max_failures must be at least 1, got {max_failures}")
        if kwargs.pop("by_epoch", False):
            raise ValueError("AtomicCheckpointHook counts iterations; leave by_epoch out")
        for name in ("backend_args", "file_client_args"):
            if kwargs.pop(name, None) is not None:
                raise ValueError(
                    "AtomicCheckpointHook writes to local folders only and does not support "
                    f"{name}; use CheckpointHook for other storage"
                )
        if "://" in str(kwargs.get("out_dir") or ""):
            raise ValueError(
                f"AtomicCheckpointHook writes to local folders only, not to {kwargs['out_dir']}"
            )
        template = kwargs.get("filename_tmpl")
        if template is not None and template.format(1) == template.format(2):
            raise ValueError(
                f"filename_tmpl {template!r} gives all checkpoints the same name: add {{}}, as in "
                "'iter_{}.pth'"
            )
        backend_args = dict(backend=ATOMIC_BACKEND)
        super().__init__(interval=interval, by_epoch=False, backend_args=backend_args, **kwargs)
        self.max_failures = max_failures
        self._failures = 0

    def before_train(self, runner: Runner) -> None:
        """Restore the name of the last checkpoint, and delete incomplete and outdated files.

        Raises:
            ValueError: If the run counts epochs, and its sampler never ends one.
        """
        super().before_train(runner)
        counts_epochs = isinstance(runner.train_loop, EpochBasedTrainLoop)
        if counts_epochs:
            _require_end_of_epochs(runner.train_dataloader)
        self.last_ckpt = runner.message_hub.get_info("last_ckpt")
        if not is_main_process():
            return
        if counts_epochs:
            runner.logger.warning(
                "AtomicCheckpointHook counts iterations, but this run counts epochs: one that "
                "resumes from the end of an epoch repeats that epoch. Use "
                "ResumableIterBasedTrainLoop, or MMEngine's CheckpointHook"
            )
        accumulated = getattr(runner.optim_wrapper, "_accumulative_counts", 1)
        if self.interval % accumulated:
            runner.logger.warning(
                f"Gradients are accumulated over {accumulated} iterations, and checkpoints do not "
                f"contain them: a run that resumes from one within these is not exact. Use a "
                f"multiple of {accumulated} for the interval of checkpoints ({self.interval})"
            )
        for folder in {Path(self.out_dir), Path(runner.work_dir)}:
            for file in chain.from_iterable(map(folder.glob, _HALF_WRITTEN)):
                if file.is_file():
                    runner.logger.warning(f"Deleted {file}: an interrupted run left it incomplete")
                    file.unlink()
        # The run may have ended after writing a checkpoint and before deleting old ones.
        for step in runner.message_hub.get_info("outdated_ckpt_ids") or []:
            self._delete(runner, self._path(step))

    def after_train(self, runner: Runner) -> None:
        """Save a checkpoint if a hook stopped the run early, then publish if configured."""
        stopped = runner.train_loop.stop_training and self.save_last
        if stopped and self.last_ckpt != self._path(runner.iter):
            runner.logger.info(f"Saving final checkpoint at {runner.iter} iterations")
            meta = dict(epoch=runner.epoch, iter=runner.iter)
            self._save_checkpoint_with_step(runner, runner.iter, meta)
        super().after_train(runner)

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        """Write a checkpoint to resume from, then delete surplus ones."""
        # Each process has its own running statistics until a validation averages them. A resumed
        # run starts with averaged ones, so this run continues with them as well.
        all_reduce_params(runner.model.buffers(), op="mean")
        path = self._path(step)
        infos = {"last_ckpt": path, RANDOM_STATES: self._random_states(runner)}
        outdated = []
        if self.max_keep_ckpts > 0:
            kept = [*(s for s in self.keep_ckpt_ids if s != step), step]
            outdated, kept = kept[: -self.max_keep_ckpts], kept[-self.max_keep_ckpts :]
            infos["keep_ckpt_ids"] = kept
            infos["outdated_ckpt_ids"] = outdated
        try:
            self._write(
                runner,
                path,
                meta,
                infos,
                save_optimizer=self.save_optimizer,
                save_param_scheduler=self.save_param_scheduler,
            )
        except OSError as error:
            again = f"after {self.interval} iterations"
            self._report_failure(runner, step, path, error, again)
            return
        finally:
            runner.message_hub.pop_info(RANDOM_STATES)
        self._failures = 0
        self.last_ckpt = path
        if self.max_keep_ckpts > 0:
            self.keep_ckpt_ids.clear()
            self.keep_ckpt_ids.extend(kept)
        if is_main_process():
            self._name_as_last(runner, path)
        for old in outdated:
            self._delete(runner, self._path(old))

    def _save_best_checkpoint(self, runner: Runner, metrics: dict[str, float]) -> None:
        """Write the best checkpoint so far, then delete the previous best one."""
        if not self.save_best:
            return
        if "auto" in self.key_indicators:
            self._init_rule(self.rules, [next(iter(metrics))])
        meta = dict(epoch=runner.epoch, iter=runner.iter)
        updated = [
            self._save_if_best(runner, metrics, key, rule, meta)
            for key, rule in zip(self.key_indicators, self.rules, strict=True)
        ]
        if any(updated) and self.last_ckpt is not None:
            # A resumed run needs the best score, and the file to delete later.
            self._save_checkpoint_with_step(runner, runner.iter, meta)

    def _save_if_best(
        self, runner: Runner, metrics: dict[str, float], key: str, rule: str, meta: dict
    ) -> bool:
        """Write a checkpoint if it is the best by one metric; return whether it was written."""
        if key not in metrics:
            raise KeyError(
                f"save_best={key!r} is not a metric of the validation, which has "
                f"{', '.join(metrics)}"
            )
        score, hub = metrics[key], runner.message_hub
        single = len(self.key_indicators) == 1
        score_info, path_info = (
            ("best_score", "best_ckpt") if single else (f"best_score_{key}", f"best_ckpt_{key}")
        )
        best = hub.get_info(score_info, self.init_value_map[rule])
        if score is None or math.isnan(score) or not self.is_better_than[key](score, best):
            return False
        name = f"best_{key}_{self.filename_tmpl.format(runner.iter)}".replace("/", "_")
        path = str(Path(self.out_dir, name))
        previous = hub.get_info(path_info)
        try:
            self._write(
                runner,
                path,
                dict(meta),
                {score_info: score, path_info: path},
                save_optimizer=False,
                save_param_scheduler=False,
            )
        except OSError as error:
            again = "when a validation is better again"
            self._report_failure(runner, runner.iter, path, error, again)
            return False
        if single:
            self.best_ckpt_path = path
        else:
            self.best_ckpt_path_dict[key] = path
        runner.logger.info(
            f"The best checkpoint with {score:0.4f} {key} at {runner.iter} iter is saved to {name}."
        )
        outdated = previous is not None and previous != path and self._is_own(previous)
        if outdated and self._delete(runner, previous):
            runner.logger.info(f"The previous best checkpoint {previous} is removed")
        return True

    def _name_as_last(self, runner: Runner, path: str) -> None:
        """Record which checkpoint is the last one; it is complete already, so this may fail."""
        pointer = Path(runner.work_dir, LAST_CHECKPOINT)
        try:
            self.file_backend.put_text(path, pointer)
        except OSError as error:
            runner.logger.error(
                f"The checkpoint {path} is complete, but {pointer}, which names the last one, "
                f"could not be written ({error}). The next checkpoint tries again."
            )

    def _is_own(self, path: str) -> bool:
        """Return whether a checkpoint is in this run's folder; those of other runs are kept."""
        return Path(path).resolve().parent == Path(self.out_dir).resolve()

    def _path(self, step: int) -> str:
        """Return the path of an iteration's checkpoint."""
        return str(Path(self.out_dir, self.filename_tmpl.format(step)))

    def _write(self, runner: Runner, path: str, meta: dict, infos: dict, **options) -> None:
        """Write a checkpoint with ``infos`` in its message hub, which keeps them only on success.

        Only the main process writes, but all processes are told of its error and raise it together.
        """
        hub = runner.message_hub
        before = {key: hub.get_info(key) for key in infos if key in hub.runtime_info}
        hub.update_info_dict(infos)
        error = None
        try:
            runner.save_checkpoint(
                self.out_dir,
                Path(path).name,
                meta=meta,
                by_epoch=False,
                backend_args=self.backend_args,
                **options,
                **self.args,
            )
        except OSError as raised:
            error = raised
        error = next((e for e in all_gather_object(error) if e is not None), None)
        if error is not None:
            for key in infos:
                hub.pop_info(key)
            hub.update_info_dict(before)
            raise error

    def _report_failure(
        self, runner: Runner, step: int, path: str, error: OSError, again: str
    ) -> None:
        """Log what could not be written, or end the run where continuing makes no sense."""
        self._failures += 1
        kept = f"{self.last_ckpt} is still intact" if self.last_ckpt else "there is none before it"
        message = f"The checkpoint {path} could not be written ({error}); {kept}."
        stopping = step >= runner.max_iters or runner.train_loop.stop_training
        if stopping or self._failures >= self.max_failures:
            raise CheckpointError(
                f"{message} Training ends here: "
                + ("it was the last one." if stopping else f"{self._failures} failed in a row.")
                + " Free some disk space and resume."
            ) from error
        if is_main_process():  # otherwise each process would repeat it
            runner.logger.error(
                f"{message} Training continues and tries again {again}; free some disk space "
                "until then."
            )

    def _delete(self, runner: Runner, path: str) -> bool:
        """Delete a checkpoint, on the main process; return whether that was done."""
        if not is_main_process() or not self.file_backend.isfile(path):
            return False
        try:
            self.file_backend.remove(path)
        except OSError as error:
            runner.logger.warning(f"The old checkpoint {path} could not be deleted: {error}")
            return False
        return True

    @staticmethod
    def _random_states(runner: Runner) -> list[dict]:
        """Return the random state of every process, by rank."""
        current = getattr(runner.train_loop, "random_state", random_state)
        return all_gather_object(current())


def _require_end_of_epochs(loader: DataLoader) -> None:
    for sampler in (loader.sampler, loader.batch_sampler):
        if isinstance(sampler, _ENDLESS):
            raise ValueError(
                f"train_cfg counts epochs, and the {type(sampler).__name__} never ends one: set "
                "train_cfg=dict(type='ResumableIterBasedTrainLoop', max_iters=...), or a sampler "
                "such as dict(type='DefaultSampler', shuffle=True)"
            )
