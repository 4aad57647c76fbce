"""Hooks that measure training speed and end training on a signal."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from types import FrameType

import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.hooks import Hook, IterTimerHook
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner
from mmocr.registry import HOOKS

from .loops import ResumableIterBasedTrainLoop


@HOOKS.register_module()
class ThroughputTimerHook(IterTimerHook):
    """``IterTimerHook`` that also measures images per second.

    It replaces that hook in a config: ``default_hooks = dict(timer=dict(
    type="ThroughputTimerHook"))``. In addition to ``time`` and ``eta``, the log shows
    ``images_per_second``, summed over all processes. TensorBoard, to which MMEngine does not send
    ``eta``, gets ``eta_hours``.

    Args:
        interval: Iterations to average over, and between two values of ``eta_hours``.

    Raises:
        ValueError: If ``interval`` is below 1.
    """

    def __init__(self, *, interval: int = 100) -> None:
        if interval < 1:
            raise ValueError(f"interval must be at least 1, got {interval}")
        super().__init__()
        self.interval = interval

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Measure an iteration."""
        super().after_train_iter(runner, batch_idx, data_batch, outputs)
        hub = runner.message_hub
        measured = min(self.interval, runner.iter + 1 - self.start_iter)
        images = len(data_batch["inputs"]) * get_world_size()
        speed = images / hub.get_scalar("train/time").mean(measured)
        hub.update_scalar("train/images_per_second", speed)
        if self.every_n_train_iters(runner, self.interval):
            runner.visualizer.add_scalar(
                "eta_hours", hub.get_info("eta") / 3600, step=runner.iter + 1
            )


class _IgnoreForeignSignals:
    """Worker initialisation that makes workers obey signals only from the main process.

    A scheduler and a terminal signal all processes at once; without its workers the main process
    could not finish its iteration. But workers have to obey the main process, which ends them by
    SIGTERM when it ends itself.

    Args:
        signals: Signals to ignore unless the main process sends them.
        then: The data loader's own ``worker_init_fn``.
    """

    def __init__(
        self, signals: Sequence[signal.Signals], then: Callable[[int], None] | None
    ) -> None:
        self.signals = signals
        self.then = then

    def __call__(self, worker_id: int) -> None:
        # Only a thread that waits for blocked signals learns who sent them.
        signal.pthread_sigmask(signal.SIG_BLOCK, self.signals)
        threading.Thread(target=self._listen, daemon=True).start()
        if self.then is not None:
            self.then(worker_id)

    def _listen(self) -> None:
        while signal.sigwaitinfo(self.signals).si_pid != os.getppid():
            pass
        os._exit(0)


@HOOKS.register_module()
class StopOnSignalHook(Hook):
    """Hook that ends training cleanly when a scheduler or the user requests it by a signal.

    On the signal, the current iteration and any running validation are finished; then
    :class:`lpv_mmocr.engine.AtomicCheckpointHook` saves, logs are closed, and the process exits
    with 128 plus the signal's number, the convention of shells. Another signal ends the process at
    once if it comes at least ``same_signal_seconds`` later: ``torchrun`` forwards to its processes
    the signals that a terminal or a scheduler has already sent them.

    In distributed training, the processes agree on the end every few iterations, so that all of
    them stop at the same one, whichever has received the signal.
    """

    # Its after_train_iter runs after the iteration is logged and before its checkpoint is written,
    # its after_run after the logs are closed.
    priority = "LOW"
    same_signal_seconds = 3.0
    signals = (signal.SIGTERM, signal.SIGINT)  # Slurm's, and Ctrl-C
    agree_interval = 10  # iterations

    def __init__(self) -> None:
        self._received = 0
        self._received_at = 0.0
        self._agreed = False
        self._previous: dict[signal.Signals, Callable | int | None] = {}

    def before_train(self, runner: Runner) -> None:
        """Install the signal handlers, and make workers obey only this process."""
        self._received = 0
        self._agreed = False
        if threading.current_thread() is not threading.main_thread():
            runner.logger.warning("Not in the main thread: signals will not be handled")
            return
        self._previous = {number: signal.signal(number, self._receive) for number in self.signals}
        if isinstance(runner.train_loop, ResumableIterBasedTrainLoop):
            # However training ends, but not before the last checkpoint is written.
            runner.train_loop.at_end.callback(self._stop_listening)
        if not hasattr(signal, "sigwaitinfo"):  # macOS, where no scheduler sends signals
            return
        for loop in (runner.train_loop, runner.val_loop):
            if loop is not None:
                loader = loop.dataloader
                loader.worker_init_fn = _IgnoreForeignSignals(self.signals, loader.worker_init_fn)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """End training if any process has received a signal."""
        if get_world_size() == 1:
            self._agreed = bool(self._received)
        elif self.every_n_train_iters(runner, self.agree_interval):
            received = torch.tensor(self._received)
            all_reduce(received, "max")
            self._received = int(received)
            self._agreed = bool(self._received)
        if self._agreed and not _accumulates_gradients(runner.optim_wrapper):
            name = signal.Signals(self._received).name
            runner.logger.warning(f"Training ends at iteration {runner.iter + 1} because of {name}")
            runner.train_loop.stop_training = True

    def after_run(self, runner: Runner) -> None:
        """Restore the signal handlers, and exit with the status of the signal, if any."""
        self._stop_listening()
        if self._received:
            raise SystemExit(128 + self._received)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if not self._received:
            self._received, self._received_at = number, now
            # Logging is not safe in a signal handler, which may run at any moment.
            os.write(2, b"Signal received: saving after this iteration. Repeat it to quit now.\n")
        elif now - self._received_at >= self.same_signal_seconds:
            self._stop_listening()
            signal.raise_signal(number)

    def _stop_listening(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}


def _accumulates_gradients(wrapper: OptimWrapper) -> bool:
    """Return whether gradients are being accumulated; checkpoints do not contain them."""
    # OptimWrapperDict does not support should_update; its wrappers are queried one by one.
    return not (isinstance(wrapper, OptimWrapperDict) or wrapper.should_update())
