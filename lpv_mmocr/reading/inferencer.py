"""MMOCR's inferencer, made strict and quiet."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.runner.checkpoint import _load_checkpoint_to_model
from mmocr.apis import TextRecInferencer
from torch import nn


class StrictInferencer(TextRecInferencer):
    """``TextRecInferencer`` that takes no weights but those of exactly its model, and only reads.

    MMOCR's own fills what fits, warns of the rest, and reads nonsense.
    """

    def _load_weights_to_model(
        self, model: nn.Module, checkpoint: dict | None, cfg: Config | None
    ) -> None:
        _load_checkpoint_to_model(model, checkpoint, strict=True)

    def _init_collate(self, cfg: Config) -> Callable:
        # Looking for what is not there makes MMEngine warn of a wrong scope.
        named = "collate_fn" in cfg.test_dataloader
        return super()._init_collate(cfg) if named else pseudo_collate

    def _init_visualizer(self, cfg: Config) -> None:
        """None, since it draws nothing."""


def build_inferencer(
    weights: str, config: str | os.PathLike | Config | None = None, device: str | None = None
) -> StrictInferencer:
    """Load a model for reading.

    Args:
        weights: File or address of the checkpoint.
        config: Config, its file, or a path such as ``lpv_mmocr::textrecog/lpv/NAME.py``; by default
            the config inside the checkpoint.
        device: Such as ``cpu`` or ``cuda:1``; by default the first GPU if there is one.

    Returns:
        The inferencer.

    Raises:
        FileNotFoundError: If the config or the checkpoint does not exist.
        ValueError: If there is no config, the weights do not fit it, or the device cannot be used.
        CheckpointError: If the checkpoint is damaged, or no checkpoint.
    """
    if isinstance(config, os.PathLike):
        config = os.fspath(config)
    if isinstance(config, str) and config.endswith(".py"):
        config = str(Path(config).expanduser())
        if "::" not in config and not Path(config).is_file():
            raise FileNotFoundError(f"there is no config file {config}")
    if device is not None:
        check_device(device)
    try:
        return StrictInferencer(config, weights, device)
    except (AssertionError, ValueError) as error:
        if config is None and "config" in str(error):
            raise ValueError(
                f"{weights} has no config inside; name one with --config (config=... in Python). "
                "Weights of the authors' code are converted first: lpv-mmocr convert"
            ) from error
        raise
    except RuntimeError as error:
        if "state_dict" not in str(error):
            raise
        origin = "the config inside it" if config is None else f"the config {_name(config)}"
        raise ValueError(f"the weights {weights} do not fit {origin}: {_summary(error)}") from error


def check_device(device: str) -> None:
    """Check that PyTorch can use a device.

    Args:
        device: Such as ``cpu`` or ``cuda:1``.

    Raises:
        ValueError: If it cannot.
    """
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"the device {device!r} cannot be used: {reason}") from error


def _name(config: str | Config) -> str:
    return config if isinstance(config, str) else str(config.get("filename") or "given")


def _summary(error: RuntimeError) -> str:
    # One line per kind of misfit, each with hundreds of names.
    lines = [line.strip() for line in str(error).splitlines()[1:] if line.strip()]
    shown = "; ".join(line if len(line) < 120 else f"{line[:117]}..." for line in lines[:2])
    return f"{shown} (and more)" if len(lines) > 2 else shown
