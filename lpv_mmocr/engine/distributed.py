"""Distributed training, including on CPUs, where MMEngine 0.10.7 cannot start it.

Without a GPU, MMEngine's launchers fail at ``torch.cuda.set_device``, and its
``DistributedDataParallel`` fails because of the GPU number that it is given.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import NoReturn

import torch.distributed as dist
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.model import BaseTTAModel, is_model_wrapper
from torch import nn

LAUNCHERS = ("none", "pytorch", "slurm", "mpi")
DEFAULT_PORT = "29500"

_joined_with_gloo = False
_launcher = "none"

_RANK_VARIABLES = {
    # Each launcher's names of RANK, WORLD_SIZE and LOCAL_RANK.
    "pytorch": ("RANK", "WORLD_SIZE", "LOCAL_RANK"),
    "slurm": ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"),
    "mpi": ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"),
}


def is_first_process() -> bool:
    """Return whether this is the first process, even before the process group exists."""
    return _rank(0) == "0"


def is_local_main_process() -> bool:
    """Return whether this process is the first on its machine.

    Input errors are reported once per machine, since each machine may lack other data.
    """
    return _rank(2) == "0"


def _rank(variable: int) -> str:
    # Without a launcher, such variables belong to the processes that started this one.
    names = _RANK_VARIABLES.get(_launcher)
    return "0" if names is None else os.environ.get(names[variable], "0")


def name_launcher(launcher: str) -> None:
    """Declare what started this process, so that only one of several processes prints messages.

    Args:
        launcher: "none", "pytorch" (``torchrun``), "slurm" or "mpi".

    Raises:
        ValueError: If the launcher is not known.
    """
    if launcher not in LAUNCHERS:
        raise ValueError(f"launcher must be one of {', '.join(LAUNCHERS)}, got {launcher!r}")
    global _launcher
    _launcher = launcher


def set_launcher(cfg: Config, launcher: str) -> None:
    """Prepare a config for a launcher and, without a GPU, join the process group.

    Args:
        cfg: Config to change in place.
        launcher: "none", "pytorch" (``torchrun``), "slurm" or "mpi".

    Raises:
        ValueError: If the launcher is not known or did not start this process; or, without a GPU,
            if ``MASTER_ADDR`` is not set and Slurm does not name the nodes.
    """
    name_launcher(launcher)
    cfg.launcher = launcher
    if launcher == "none":
        return
    _check_started_by(launcher)
    if get_device() != "cpu":
        return
    if not dist.is_initialized():
        _use_gloo(launcher, cfg)
    cfg.model_wrapper_cfg = {
        "type": "MMDistributedDataParallel",
        "broadcast_buffers": False,
        "find_unused_parameters": cfg.get("find_unused_parameters", False),
        **(cfg.get("model_wrapper_cfg") or {}),
        # MMEngine would fill in the number of a GPU.
        "device_ids": None,
    }


def without_wrapper(model: nn.Module) -> nn.Module:
    """Return the model without its wrapper for distributed training.

    Args:
        model: Model of a runner.
    """
    return model.module if is_model_wrapper(model) else model


def inner_model(model: nn.Module) -> nn.Module:
    """Return a model without its wrappers for distributed training and test-time augmentation.

    Args:
        model: Model, possibly wrapped in both.
    """
    model = without_wrapper(model)
    return without_wrapper(model.module) if isinstance(model, BaseTTAModel) else model


def leave() -> None:
    """Leave the process group together with its other processes, if this process is in one."""
    if dist.is_available() and dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()


def run(main: Callable[[], int | None]) -> NoReturn:
    """Run a program and end this process.

    After distributed training on CPUs, the process ends without the interpreter's usual shutdown:
    occasionally gloo's threads outlive the objects that they use, and abort a process that has
    finished its work.

    Args:
        main: Program, which returns its exit status or exits with one.
    """
    try:
        status = main() or 0
    except SystemExit as stopped:
        if not isinstance(stopped.code, int):
            raise
        status = stopped.code
    if not _joined_with_gloo:
        raise SystemExit(status)
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _check_started_by(launcher: str) -> None:
    missing = [name for name in _RANK_VARIABLES[launcher] if name not in os.environ]
    if missing:
        raise ValueError(
            f"--launcher {launcher} is for processes started by {launcher}, but "
            f"{', '.join(missing)} is not set here. tools/dist_train.sh and tools/slurm_train.sh "
            "start the processes and set the option"
        )


def _use_gloo(launcher: str, cfg: Config) -> None:
    """Join the process group on CPU; MMEngine then uses it as it is."""
    names = zip(_RANK_VARIABLES["pytorch"], _RANK_VARIABLES[launcher], strict=True)
    for name, source in names:
        os.environ[name] = os.environ[source]
    os.environ.setdefault("MASTER_PORT", DEFAULT_PORT)
    if "MASTER_ADDR" not in os.environ:
        os.environ["MASTER_ADDR"] = _first_node(launcher)
    options = {}
    timeout = cfg.get("env_cfg", {}).get("dist_cfg", {}).get("timeout")
    if timeout is not None:
        options["timeout"] = timedelta(seconds=timeout)
    dist.init_process_group(backend="gloo", **options)
    global _joined_with_gloo
    _joined_with_gloo = True


def _first_node(launcher: str) -> str:
    nodes = os.environ.get("SLURM_NODELIST")
    if launcher != "slurm" or not nodes:
        raise ValueError("MASTER_ADDR is not set: set it to the machine that runs process 0")
    listing = subprocess.run(
        ["scontrol", "show", "hostnames", nodes], capture_output=True, text=True, check=True
    )
    return listing.stdout.split()[0]
