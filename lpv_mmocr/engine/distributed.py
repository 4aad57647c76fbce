"""Several processes: with GPUs, and without, where MMEngine 0.10.7 cannot start them.

Without one, MMEngine's launchers stop at ``torch.cuda.set_device``, and its
``DistributedDataParallel`` at the GPU number that it is given.
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
from mmengine.model import is_model_wrapper
from torch import nn

LAUNCHERS = ("none", "pytorch", "slurm", "mpi")
DEFAULT_PORT = "29500"

_joined_with_gloo = False
_launcher = "none"

_RANK_VARIABLES = {
    # RANK, WORLD_SIZE and LOCAL_RANK as each launcher calls them.
    "pytorch": ("RANK", "WORLD_SIZE", "LOCAL_RANK"),
    "slurm": ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"),
    "mpi": ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"),
}


def is_first_process() -> bool:
    """Whether this is the first process, known before the process group exists."""
    return _rank(0) == "0"


def is_first_of_machine() -> bool:
    """Whether this process is the first one of its machine, which may lack what others have."""
    return _rank(2) == "0"


def _rank(variable: int) -> str:
    # Without a launcher, the variables are of processes that have started this one.
    names = _RANK_VARIABLES.get(_launcher)
    return "0" if names is None else os.environ.get(names[variable], "0")


def name_launcher(launcher: str) -> None:
    """Say what has started this process, so that one of several speaks to the user.

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
    """Prepare a config, and without a GPU this process as well, for a launcher.

    Args:
        cfg: Config to change in place.
        launcher: "none", "pytorch" (``torchrun``), "slurm" or "mpi".

    Raises:
        ValueError: If the launcher is not known, or this process was not started by it.
    """
    name_launcher(launcher)
    cfg.launcher = launcher
    if launcher == "none":
        return
    _check_started_by(launcher)
    if get_device() != "cpu":
        return
    if not dist.is_initialized():
        _join_with_gloo(launcher, cfg)
    cfg.model_wrapper_cfg = {
        "type": "MMDistributedDataParallel",
        "broadcast_buffers": False,
        "find_unused_parameters": cfg.get("find_unused_parameters", False),
        **(cfg.get("model_wrapper_cfg") or {}),
        # MMEngine would fill in the number of a GPU.
        "device_ids": None,
    }


def without_wrapper(model: nn.Module) -> nn.Module:
    """The model itself, without what several processes put around it.

    Args:
        model: The model of a runner.
    """
    return model.module if is_model_wrapper(model) else model


def leave() -> None:
    """Leave the process group together with the others, if this process is in one."""
    if dist.is_available() and dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()


def run(main: Callable[[], int | None]) -> NoReturn:
    """Run a program and end this process.

    Where it has been one of several on CPUs, the interpreter is not taken down piece by piece: now
    and then gloo's threads outlive what they belong to, and abort a process that has done its work.

    Args:
        main: The program; it returns its exit status, or exits with one.
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
            f"--launcher {launcher} is for processes that {launcher} has started, and "
            f"{', '.join(missing)} is not set here. tools/dist_train.sh and tools/slurm_train.sh "
            "start the processes and set the option"
        )


def _join_with_gloo(launcher: str, cfg: Config) -> None:
    """Join the process group on CPU; MMEngine then leaves it as it is."""
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
        raise ValueError("MASTER_ADDR is not set: it names the machine that runs process 0")
    listing = subprocess.run(
        ["scontrol", "show", "hostnames", nodes], capture_output=True, text=True, check=True
    )
    return listing.stdout.split()[0]
