"""A strict and quiet version of MMOCR's inferencer."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout

import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.logging import MMLogger
from mmocr.apis import TextRecInferencer
from torch import nn

from ..cli import load_config
from ..engine import InitialWeightsError
from ..engine.config_text import ConfigTextError
from ..engine.inference_config import NO_CONFIG
from ..engine.weights_fit import mask_of, require_fit


class StrictInferencer(TextRecInferencer):
    """``TextRecInferencer`` that accepts only weights that fit, and draws nothing.

    For models without a ``CPADecoder``, MMOCR's class loads whatever weights match, prints the
    names of the others, and then reads nonsense. (:mod:`lpv_mmocr.inferencer_patches` checks those
    with one.)
    """

    def _load_weights_to_model(
        self, model: nn.Module, checkpoint: dict | None, cfg: Config | None
    ) -> None:
        if mask_of(model) is None:  # others are checked by lpv_mmocr.inferencer_patches
            require_fit(model, checkpoint)
        super()._load_weights_to_model(model, checkpoint, cfg)

    def _init_collate(self, cfg: Config) -> Callable:
        # Looking up a missing collate_fn makes MMEngine warn of a wrong scope.
        named = "collate_fn" in cfg.test_dataloader
        return super()._init_collate(cfg) if named else pseudo_collate

    def _init_visualizer(self, cfg: Config) -> None:
        """Return None, since nothing is drawn."""


def build_inferencer(
    weights: str, config: str | os.PathLike | Config | None = None, device: str | None = None
) -> StrictInferencer:
    """Load a model for reading.

    Args:
        weights: Path or URL of the checkpoint.
        config: Config, its file, or a path such as ``lpv_mmocr::textrecog/lpv/NAME.py``; by default
            the config inside the checkpoint.
        device: Device such as ``cpu`` or ``cuda:1``; by default the first GPU if there is one.

    Returns:
        The inferencer.

    Raises:
        FileNotFoundError: If the config or the checkpoint does not exist.
        ValueError: If there is no config, it cannot be read, the weights do not fit it, or the
            device cannot be used.
        CheckpointError: If the file is damaged, or is not a checkpoint.
    """
    if isinstance(config, (str, os.PathLike)):
        config = _read_config(os.fspath(config))
    if device is not None:
        check_device(device)
    try:
        with _silent_on_loading():
            return StrictInferencer(config, weights, device)
    except ConfigTextError:
        raise
    except InitialWeightsError as error:
        origin = "the config inside it" if config is None else f"the config {_name(config)}"
        raise ValueError(f"the weights {weights} do not fit {origin}. {error}") from error
    except (AssertionError, ValueError) as error:
        if config is None and "config" in str(error):
            raise ValueError(
                f"{weights} {NO_CONFIG}: name one with --config (config=... in Python). Convert "
                "weights of the authors' code first, with lpv-mmocr convert"
            ) from error
        raise


def _read_config(path: str) -> Config | str:
    """Return the config in a file; other names are left to MMOCR, which has names for models."""
    path = os.path.expanduser(path)
    if os.path.isdir(path):
        raise ValueError(f"the config {path} is a folder; give the file (.py) in it")
    if os.path.isfile(path) or "::" in path:
        return load_config(path)
    if path.endswith(".py"):
        raise FileNotFoundError(f"there is no config file {path}")
    return path


_standard_output = threading.Lock()
"""Held while standard output is redirected: two threads would restore it in the wrong order."""


@contextmanager
def _silent_on_loading() -> Iterator[None]:
    """Suppress MMEngine's message about where it loads the checkpoint, which the user knows."""
    MMLogger.get_current_instance()  # a logger made below would keep writing to `printed`
    printed = io.StringIO()
    try:
        with _standard_output, redirect_stdout(printed):
            yield
    finally:
        for line in printed.getvalue().splitlines():
            if not line.startswith("Loads checkpoint by"):
                print(line)


def check_device(device: str) -> None:
    """Check that PyTorch can use a device.

    Args:
        device: Device such as ``cpu`` or ``cuda:1``.

    Raises:
        ValueError: If the device cannot be used.
    """
    try:
        torch.empty(0, device=device).tolist()  # fails on "meta", which has no memory
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"the device {device!r} cannot be used: {reason}") from error


def _name(config: str | Config) -> str:
    return config if isinstance(config, str) else str(config.filename or "given")
