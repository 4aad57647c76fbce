"""Saving checkpoints so that at every moment a whole one is on the disk."""

from __future__ import annotations

import math
from itertools import chain
from pathlib import Path

from mmengine.dist import all_gather_object, all_reduce_params, is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner
from mmocr.registry import HOOKS

from ..whole_files import PARTIAL_SUFFIX
from .atomic_file_backend import ATOMIC_BACKEND
from .checkpoint_io import CheckpointError
from .checkpoint_search import LAST_CHECKPOINT
from .loops import RANDOM_STATES
from .random_state import random_state

_HALF_WRITTEN = [f"{name}*{PARTIAL_SUFFIX}" for name in ("*.pth", LAST_CHECKPOINT)]


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """MMEngine's ``CheckpointHook``, which here never leaves a run without a whole checkpoint.

    MMEngine writes straight into the final file, and deletes the old best checkpoint, and the
    oldest of those it keeps, before it writes the new one. Here

    - a file gets its name when it is whole and on the disk (:class:`AtomicLocalBackend`),
    - old checkpoints go after that, so there must be room for one more than are kept,
    - a checkpoint holds the random state of every process, for
      :class:`lpv_mmocr.engine.ResumableIterBasedTrainLoop`,
    - a run that a hook stops early is saved where it stopped.

    When a checkpoint cannot be written, on a full disk, say, the log has an error and training goes
    on: the last whole checkpoint is still there, and room can be made before the next is due. The
    run ends with an error if that happens ``max_failures`` times in a row, or with the last
    checkpoint of all.

    Args:
        interval: Iterations between two checkpoints.
        max_failures: Writes in a row that may fail before the run ends.
        **kwargs: Other arguments of ``mmengine.hooks.CheckpointHook``: ``max_keep_ckpts``,
            ``save_best``, ``rule`` and so on. Files are written to local folders.

    Raises:
        CheckpointError: While training, as described above.
        ValueError: For an argument that is out of range, or not for iterations and local folders.
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
                    f"AtomicCheckpointHook writes to local folders only, so {name} has no meaning; "
                    "CheckpointHook writes elsewhere"
                )
        if "://" in str(kwargs.get("out_dir") or ""):
            raise ValueError(
                f"AtomicCheckpointHook writes to local folders only, not to {kwargs['out_dir']}"
            )
        backend_args = dict(backend=ATOMIC_BACKEND)
        super().__init__(interval=interval, by_epoch=False, backend_args=backend_args, **kwargs)
        self.max_failures = max_failures
        self._failures = 0

    def before_train(self, runner: Runner) -> None:
        """Take over what the checkpoint says of earlier ones, and clear half-written files away."""
        super().before_train(runner)
        self.last_ckpt = runner.message_hub.get_info("last_ckpt")
        if not is_main_process():
            return
        for folder in {Path(self.out_dir), Path(runner.work_dir)}:
            for file in chain.from_iterable(map(folder.glob, _HALF_WRITTEN)):
                if file.is_file():
                    runner.logger.warning(
                        f"Deleted {file}: an interrupted run left it half written"
                    )
                    file.unlink()
        # The run may have ended between the writing of a checkpoint and this.
        for step in runner.message_hub.get_info("outdated_ckpt_ids") or []:
            self._delete(runner, self._path(step))

    def after_train(self, runner: Runner) -> None:
        """Save where a hook has stopped the training early, then publish if asked to."""
        stopped = runner.train_loop.stop_training and self.save_last
        if stopped and self.last_ckpt != self._path(runner.iter):
            runner.logger.info(f"Saving checkpoint at {runner.iter} iterations, the end")
            meta = dict(epoch=runner.epoch, iter=runner.iter)
            self._save_checkpoint_with_step(runner, runner.iter, meta)
        super().after_train(runner)

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        """Write a checkpoint to resume from, then delete those that are too many."""
        # Running statistics are each process's own until a validation makes one of them. A resumed
        # run begins with one, so this one goes on with it as well.
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
        """Write the best checkpoint so far, then delete the one that it surpasses."""
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
            # A run that resumes has to know the best score, and which file to delete later.
            self._save_checkpoint_with_step(runner, runner.iter, meta)

    def _save_if_best(
        self, runner: Runner, metrics: dict[str, float], key: str, rule: str, meta: dict
    ) -> bool:
        """Write the best checkpoint by one metric, if this is it."""
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
        """Write down which checkpoint is the last one; it is whole already, so this may fail."""
        pointer = Path(runner.work_dir, LAST_CHECKPOINT)
        try:
            self.file_backend.put_text(path, pointer)
        except OSError as error:
            runner.logger.error(
                f"The checkpoint {path} is whole, but {pointer}, which names the last one, could "
                f"not be written ({error}). The next checkpoint tries again."
            )

    def _is_own(self, path: str) -> bool:
        """Whether a checkpoint lies where this run writes; the run it came from keeps its own."""
        return Path(path).resolve().parent == Path(self.out_dir).resolve()

    def _path(self, step: int) -> str:
        """Where the checkpoint of an iteration is written."""
        return str(Path(self.out_dir, self.filename_tmpl.format(step)))

    def _write(self, runner: Runner, path: str, meta: dict, infos: dict, **options) -> None:
        """Write one checkpoint that holds ``infos``; they are kept only if that succeeds.

        Only the main process writes, but all of them learn of its error, and raise it together.
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
        """Say what could not be written, and end the run where going on makes no sense."""
        self._failures += 1
        kept = f"{self.last_ckpt} is still whole" if self.last_ckpt else "there is none before it"
        message = f"The checkpoint {path} could not be written ({error}); {kept}."
        stopping = step >= runner.max_iters or runner.train_loop.stop_training
        if stopping or self._failures >= self.max_failures:
            raise CheckpointError(
                f"{message} Training ends here: "
                + ("it was the last one." if stopping else f"{self._failures} failed in a row.")
                + " Make room and resume."
            ) from error
        if is_main_process():  # else each process would repeat it
            runner.logger.error(
                f"{message} Training goes on and tries again {again}; make room until then."
            )

    def _delete(self, runner: Runner, path: str) -> bool:
        """Delete a checkpoint, on the main process; say whether that was done."""
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
        """The random state of every process, by rank."""
        current = getattr(runner.train_loop, "random_state", random_state)
        return all_gather_object(current())
