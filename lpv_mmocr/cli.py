"""Shared code of the command-line tools: configs, and readable errors."""

from __future__ import annotations

import argparse
import difflib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from traceback import walk_tb
from types import FrameType, TracebackType

from mmengine.config import Config
from mmengine.config.utils import ConfigParsingError
from mmengine.hooks import Hook
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from lpv_onnx.standard_streams import (
    EXIT_BAD_INPUT,
    EXIT_BROKEN_PIPE,
    EXIT_INTERRUPTED,
    discard_output,
    open_closed_streams,
)

from . import collector
from .datasets import LMDBDataError
from .datasets.bad_samples import BadSampleError
from .engine import distributed
from .engine.checkpoint_io import CheckpointError
from .engine.type_names import name_types
from .ineffective_entries import (
    READ_BY_RUNNER,
    refuse_ineffective_lines,
    refuse_ineffective_options,
)
from .registry_lookup import all_registries

FIGURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")

OTHERS_WAIT_SECONDS = 3.0
"""Seconds after which processes that are not the first on their machine report an error."""

_INPUT_ERRORS = (
    OSError,
    ValueError,
    KeyError,  # an unknown type in a config
    ImportError,  # custom_imports of a config
    CheckpointError,
    ConfigParsingError,
    LMDBDataError,
    BadSampleError,
)


class InputError(ValueError):
    """Missing or invalid user input; the message says what to do."""


class ReportInputErrors(Hook):
    """Context manager and hook that turns set-up errors into one line and exit status 2.

    These are errors of certain types, and any that a registered class raises when it is built.
    Registered as a hook of the runner, it learns when the set-up is over. From then on, an error
    is a fault of the program or the machine, and keeps its traceback.

    Args:
        traceback: Whether to show the traceback of every error.

    Example:
        >>> with ReportInputErrors() as report:
        ...     runner = build_runner(load_config("config.py"))
        ...     runner.register_hook(report)
        ...     runner.train()
    """

    def __init__(self, *, traceback: bool = False) -> None:
        self._shows_traceback = traceback

    def before_train(self, runner: Runner) -> None:
        """Mark the end of the set-up of a training run."""
        self._shows_traceback = True

    def before_test(self, runner: Runner) -> None:
        """Mark the end of the set-up of a test run."""
        self._shows_traceback = True

    def __enter__(self) -> ReportInputErrors:
        """Begin the set-up."""
        open_closed_streams()
        collector.set_up_for_command()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Report an error, if there is one."""
        if error is None:
            try:
                sys.stdout.flush()  # buffered output may still fail
            except OSError as failed:  # the reader is gone, or a disk is full
                error, self._shows_traceback = failed, False
                discard_output()
        if isinstance(error, KeyboardInterrupt):
            print("interrupted", file=sys.stderr)
            raise SystemExit(EXIT_INTERRUPTED)
        if self._shows_traceback or not isinstance(error, Exception):
            return
        if isinstance(error, BrokenPipeError):  # such as a pipe to head
            discard_output()
            raise SystemExit(EXIT_BROKEN_PIPE)
        message = _message(error)
        if not _is_input_error(error):
            component = _failed_component(error)
            if component is None:
                return
            message = (
                f"{component} cannot be built: {type(error).__name__}: {message} (--traceback "
                "shows where)"
            )
        if distributed.is_local_main_process():  # once per machine: their data may differ
            print(f"error: {message}", file=sys.stderr, flush=True)
        else:
            # If the first process has the same error, the launcher ends this one meanwhile.
            time.sleep(OTHERS_WAIT_SECONDS)
            print(f"error (not in the first process): {message}", file=sys.stderr, flush=True)
        raise SystemExit(EXIT_BAD_INPUT)


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Raise KeyboardInterrupt on the first SIGTERM, as on Ctrl-C, so that the block can clean up.

    Further ones are ignored within the block: ``timeout``, for example, sends it twice.
    """
    before = signal.signal(signal.SIGTERM, interrupt_once(signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def interrupt_once(*numbers: int) -> Callable[[int, FrameType | None], None]:
    """Return a signal handler that raises KeyboardInterrupt.

    Before it does, it makes the process ignore signals, so that they do not disturb the clean-up.

    Args:
        *numbers: Signals to ignore then.
    """

    def interrupt(_: int, frame: FrameType | None) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    return interrupt


def _is_input_error(error: Exception) -> bool:
    # A misspelt argument of a class that a config names.
    misspelt = isinstance(error, TypeError) and "unexpected keyword argument" in str(error)
    return misspelt or isinstance(error, _INPUT_ERRORS)


def _failed_component(error: BaseException) -> str | None:
    """Return the name of the registered class whose constructor raised an error, if one did.

    Of several, one inside the other, this is the innermost that is not PyTorch's.
    """
    registered = {item for each in all_registries() for item in each.module_dict.values()}
    found = None
    for frame, _ in walk_tb(error.__traceback__):
        if frame.f_code.co_name == "__init__":
            kind = type(frame.f_locals.get("self"))
            if kind in registered and not kind.__module__.startswith("torch."):
                found = kind.__name__
    return found


def _message(error: BaseException) -> str:
    """Return the text of an error; ``str`` would return the repr of a KeyError's text."""
    if isinstance(error, KeyError) and error.args:
        text = str(error.args[0])
        return text if " " in text else f"there is no {text!r}"
    return str(error) or type(error).__name__


def load_config(path: str, options: dict | None = None) -> Config:
    """Read a config.

    Args:
        path: File, or scope path such as ``lpv_mmocr::textrecog/lpv/NAME.py``.
        options: Entries to change, by dotted key.

    Returns:
        The config.

    Raises:
        InputError: If there is no such file, or it cannot be read, or an option does not fit.
        ValueError: If an option, or a top-level entry of the file, has no effect.
    """
    if "::" not in path and not Path(path).is_file():
        raise InputError(f"there is no config file {path}")
    try:
        cfg = Config.fromfile(path)
        name_types(cfg)
    except Exception as error:  # a config is a program: it can fail in any way
        raise InputError(
            f"the config {path} cannot be read ({type(error).__name__}: {_message(error)})"
        ) from error
    refuse_ineffective_lines(cfg)  # of the file; options may change what was derived from them
    _change(cfg, path, options or {})
    return cfg


def _change(cfg: Config, path: str, options: dict) -> None:
    for key in options:
        _check_first_name(cfg, key)
    refuse_ineffective_options(cfg, options)
    try:
        cfg.merge_from_dict(options)
    except (KeyError, TypeError, IndexError) as error:
        raise InputError(f"--cfg-options does not fit {path}: {_message(error)}") from error


def _check_first_name(cfg: Config, key: str) -> None:
    """Reject a key whose first part looks misspelt; other new entries are allowed."""
    name, dot, _ = key.partition(".")
    known = {*cfg} if dot else {*cfg, *READ_BY_RUNNER}
    if name in known:
        return
    close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.8)
    if close:
        raise InputError(f"--cfg-options {key}: the config has no {name}; did you mean {close[0]}?")


def load_run_config(args: argparse.Namespace) -> Config:
    """Read the config of a training or test run, with work folder and launcher set.

    Args:
        args: Parsed options of :func:`lpv_mmocr_cli.add_run_options`.

    Returns:
        The config.

    Raises:
        InputError: If the config cannot be read, or the work folder cannot be written to.
        ValueError: If the launcher did not start this process, or an entry has no effect.
    """
    distributed.name_launcher(args.launcher)  # determines which process reports errors
    cfg = load_config(args.config, args.cfg_options)
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get("work_dir") is None:
        cfg.work_dir = str(Path("work_dirs", Path(args.config.rpartition("::")[2]).stem))
    require_folder(cfg.work_dir, "--work-dir (work_dir)", create=False)
    distributed.set_launcher(cfg, args.launcher)
    return cfg


def require(cfg: Config, *keys: str) -> None:
    """Check that a config has the parts that a command needs.

    Args:
        cfg: The config.
        keys: Names of the parts.

    Raises:
        InputError: If one is missing or None.
    """
    missing = [key for key in keys if cfg.get(key) is None]
    if missing:
        raise InputError(f"the config {cfg.filename} has no {', '.join(missing)}")


def require_file(path: str, what: str) -> None:
    """Check that a file exists; an address such as https://… is left to the loader.

    Args:
        path: The file.
        what: Kind of file, for the error message.

    Raises:
        InputError: If it does not exist.
    """
    if "://" not in path and not Path(os.path.expanduser(path)).is_file():
        raise InputError(f"there is no {what} {path}")


def require_folder(path: str | os.PathLike, option: str, *, create: bool = True) -> None:
    """Check that a folder for results is writable before work begins, and create it.

    Args:
        path: The folder.
        option: Option that named it, for the error message.
        create: Whether to create it.

    Raises:
        InputError: If it is a file, or below one, or cannot be created or written to.
    """
    path = Path(path)
    existing = next(folder for folder in (path, *path.parents) if os.path.exists(folder))
    if not existing.is_dir():
        raise InputError(f"{option} needs a folder, and {existing} is a file")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise InputError(f"{option} {path} cannot be written: no permission to write in {existing}")
    if not create:
        return
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{option} needs a folder, and {path} cannot be created: {error}"
        ) from error


def require_new_file(
    path: str | os.PathLike, option: str, endings: tuple[str, ...] | None = None
) -> None:
    """Check that a file for results is writable before work begins, and create its folder.

    Args:
        path: The file.
        option: Option that named it, for the error message.
        endings: Allowed endings of its name, such as :data:`FIGURE_SUFFIXES`, in any case; by
            default any.

    Raises:
        InputError: If its name ends otherwise, or it is a folder or cannot be written.
    """
    path = Path(path)
    if endings is not None and path.suffix.lower() not in endings:
        raise InputError(f"{option} {path}: the file's name must end in {', '.join(endings)}")
    path = Path(os.path.realpath(path)) if path.is_symlink() else path
    if path.is_dir():
        raise InputError(f"{option} needs the name of a file, and {path} is a folder")
    if not path.exists():  # otherwise its folder need not be writable
        require_folder(path.parent, option)
    elif not os.access(path, os.W_OK):
        raise InputError(f"{option}: the file {path} cannot be written")


def require_source_and_target(source: Path, target: Path, what: str) -> None:
    """Check the two files of a converter of checkpoints.

    Args:
        source: File to read.
        target: File to write (DST); its folder is created.
        what: What the source is, for the error message.

    Raises:
        InputError: If the source does not exist, the target is not writable, or both are one file.
    """
    require_file(str(source), "checkpoint")
    require_new_file(target, "DST")
    if target.exists() and target.samefile(source):
        raise InputError(f"{target} is {what} itself: name another file to write")


def build_runner(cfg: Config) -> Runner:
    """Build the runner that a config specifies.

    Args:
        cfg: The config.

    Returns:
        A runner of the config's ``runner_type``, or MMEngine's own.
    """
    if (cfg.get("randomness") or {}).get("deterministic"):
        # cuBLAS reads it when it starts; some versions of PyTorch raise an error without it.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    return RUNNERS.build(cfg) if "runner_type" in cfg else Runner.from_cfg(cfg)
