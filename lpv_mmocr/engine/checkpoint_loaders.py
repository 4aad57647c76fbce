"""MMEngine's functions for checkpoints, replaced by safe ones.

Its loaders for files, addresses and storage systems, and its function that writes, go through
:mod:`lpv_mmocr.engine.checkpoint_io`.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch
from mmengine.dist import barrier, get_rank
from mmengine.fileio import get_file_backend
from mmengine.runner import checkpoint as mmengine_checkpoint

from ..compat import replace_everywhere
from .checkpoint_io import CheckpointError, load_checkpoint, read_checkpoint, save_checkpoint

# The names matter: MMEngine's log says "Loads checkpoint by <what follows load_from_> backend".


def load_from_local(filename: str, map_location: Any = None) -> dict:
    """Load a checkpoint from the file system."""
    return load_checkpoint(filename, map_location)


def load_from_http(
    filename: str,
    map_location: Any = None,
    model_dir: str | None = None,
    progress: bool = os.isatty(0),
) -> dict:
    """Load a checkpoint from a URL, through PyTorch's cache directory.

    Args:
        filename: URL of the checkpoint.
        map_location: Where to place the tensors.
        model_dir: Cache directory; PyTorch's own by default.
        progress: Whether to show the progress of a download.

    Returns:
        The checkpoint.
    """
    directory = Path(model_dir or Path(torch.hub.get_dir(), "checkpoints"))
    path = directory / _cached_name(filename)
    was_there = path.exists()
    if get_rank() == 0:
        _download(filename, path, progress)
    barrier()
    _download(filename, path, progress)  # another machine has its own cache
    try:
        return load_checkpoint(path, map_location)
    except CheckpointError:
        if not was_there:  # else other programs would load it from the cache, less carefully
            path.unlink(missing_ok=True)
        raise


def _cached_name(address: str) -> str:
    """Return the file name of a download, unique to its URL unless it ends with a checksum."""
    name = Path(urlparse(address).path)
    if re.search(r"-[0-9a-f]{8,}$", name.stem):
        return name.name
    digest = hashlib.sha256(address.encode()).hexdigest()[:8]
    return f"{name.stem}_{digest}{name.suffix}"


def _download(address: str, path: Path, progress: bool) -> None:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(address, str(path), progress=progress)


def load_from_ceph(filename: str, map_location: Any = None, backend: str = "petrel") -> dict:
    """Load a checkpoint from object storage (``s3://``, ``petrel://``)."""
    storage = get_file_backend(filename, backend_args={"backend": backend})
    return read_checkpoint(io.BytesIO(storage.get(filename)), filename, map_location)


def load_from_openmmlab(filename: str, map_location: Any = None) -> dict:
    """Load one of OpenMMLab's checkpoints by name (``open-mmlab://resnet50``)."""
    name = filename.partition("://")[2]
    name = mmengine_checkpoint.get_deprecated_model_names().get(name, name)
    models = mmengine_checkpoint.get_external_models()
    if name not in models:
        raise CheckpointError(f"OpenMMLab's list of checkpoints has no {name!r}")
    if urlparse(models[name]).scheme in ("http", "https"):
        return load_from_http(models[name], map_location)
    # An entry of the user's own list may be a path relative to that list.
    home = mmengine_checkpoint._get_mmengine_home()
    return load_checkpoint(Path(home, models[name]), map_location)


def load_from_pavi(filename: str, map_location: Any = None) -> dict:
    """Refuse an address of SenseTime's internal service, which only its own client can access."""
    raise CheckpointError(
        f"{filename}: pavi:// addresses are not supported; download the file and give its path"
    )


def install() -> None:
    """Let MMEngine read and write every checkpoint through this module.

    The loaders are registered in MMEngine's own registry of URL schemes; ``torchvision://`` and
    ``mmcls://`` use the HTTP loader. Saving has no such registry, so the function is replaced
    wherever it has been imported.
    """
    replace_everywhere(mmengine_checkpoint.save_checkpoint, save_checkpoint)
    replace_everywhere(mmengine_checkpoint.load_from_http, load_from_http)
    register = mmengine_checkpoint.CheckpointLoader.register_scheme
    register("", load_from_local, force=True)
    register(("http://", "https://"), load_from_http, force=True)
    register((r"(\S+\:)?s3://", r"(\S+\:)?petrel://"), load_from_ceph, force=True)
    register(("open-mmlab://", "openmmlab://"), load_from_openmmlab, force=True)
    register("pavi://", load_from_pavi, force=True)
