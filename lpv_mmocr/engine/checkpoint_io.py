"""Reading and writing checkpoints without ever running code from a file.

A checkpoint is a pickle, and a pickle is a program. PyTorch's ``weights_only=True`` runs only the
few instructions that rebuild tensors and plain containers. MMEngine's checkpoints need more than
that, since its log buffers store NumPy arrays and their own methods. Therefore:

- **Writing.** :func:`save_checkpoint` first converts everything but tensors to plain Python data.
  Every file that a Runner writes after ``import lpv_mmocr`` loads with ``torch.load(path,
  weights_only=True)``.
- **Reading.** :func:`load_checkpoint` tries ``weights_only=True`` first. A file that this rejects
  is read by :mod:`lpv_mmocr.engine.restricted_unpickler`, which accepts what MMEngine writes and
  refuses everything else. The standard unpickler never reads a file.

In memory a checkpoint is what MMEngine expects: :func:`load_checkpoint` turns its log scalars back
into ``HistoryBuffer`` objects. :mod:`lpv_mmocr.engine.checkpoint_loaders` replaces MMEngine's own
functions with these two.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import pickle
import tarfile
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from mmengine.fileio import get_file_backend
from mmengine.logging import HistoryBuffer, print_log
from mmengine.runner import checkpoint as mmengine_checkpoint

from .atomic_file_backend import ATOMIC_BACKEND
from .restricted_unpickler import RefusedPickleError, restricted_pickle
from .unsafe_entries import drop_unsafe_entries

_write_checkpoint = mmengine_checkpoint.save_checkpoint
FORCE_WEIGHTS_ONLY = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
"""Environment variable that makes PyTorch reject any custom pickle module."""
_HISTORY_KEYS = {"log_history", "count_history", "max_length"}


class CheckpointError(RuntimeError):
    """A checkpoint cannot be read or written."""


class UnsafeCheckpointError(CheckpointError):
    """A file asks for code that no checkpoint needs; nothing of it was run."""


# --- Reading ----------------------------------------------------------------------------------


def load_checkpoint(path: str | os.PathLike, map_location: Any = "cpu") -> dict:
    """Load a checkpoint from a local file without running any code that the file names.

    Args:
        path: File written by :func:`save_checkpoint`, MMEngine or ``torch.save``.
        map_location: Where to place the tensors, as in :func:`torch.load`.

    Returns:
        The dictionary in the file, without what
        :func:`~lpv_mmocr.engine.unsafe_entries.drop_unsafe_entries` removes. MMEngine's log
        scalars are ``HistoryBuffer`` objects.

    Raises:
        FileNotFoundError: If there is no such file.
        UnsafeCheckpointError: If the file asks for any code other than what rebuilds tensors, NumPy
            numbers and MMEngine's log buffers.
        CheckpointError: If the file is damaged or not a checkpoint.
    """
    path = Path(os.path.expanduser(path))
    if not path.is_file():
        raise FileNotFoundError(f"there is no checkpoint file {path}")
    with path.open("rb") as file:
        return read_checkpoint(file, str(path), map_location)


def read_checkpoint(file: BinaryIO, name: str, map_location: Any) -> dict:
    """Load a checkpoint from an open file, as :func:`load_checkpoint` does.

    Args:
        file: The file, opened for reading.
        name: Name of the file in errors.
        map_location: Where to place the tensors, as in :func:`torch.load`.

    Returns:
        As that of :func:`load_checkpoint`.

    Raises:
        CheckpointError: See :func:`load_checkpoint`.
    """
    map_location = _supported(map_location)
    try:
        _refuse_other_formats(file, name)
        try:
            checkpoint = torch.load(file, map_location=map_location, weights_only=True)
        except pickle.UnpicklingError as error:
            if _weights_only_is_forced():
                raise CheckpointError(
                    f"{name} cannot be read: it is damaged, or it holds more than weights, as "
                    f"MMEngine's files do, and the environment variable {FORCE_WEIGHTS_ONLY} lets "
                    "PyTorch read nothing but weights. Unset it: no code that a file names is run "
                    "without it either."
                ) from error
            file.seek(0)
            checkpoint = torch.load(
                file,
                map_location=map_location,
                # PyTorch accepts a custom pickle module only with this argument.
                weights_only=False,
                pickle_module=restricted_pickle,
            )
    except RefusedPickleError as error:
        raise UnsafeCheckpointError(
            f"{name} was refused, and nothing in it was run: it asks for {error.what}, which no "
            "checkpoint of weights needs. If you trust its origin, open it with the program that "
            "wrote it and save only its state_dict."
        ) from error
    except CheckpointError:
        raise
    except Exception as error:  # a damaged pickle can fail in any way
        raise CheckpointError(
            f"{name} cannot be read; it is damaged, incomplete or not a PyTorch checkpoint "
            f"({type(error).__name__}: {error})"
        ) from error
    if not isinstance(checkpoint, dict):
        raise CheckpointError(
            f"{name} holds a {type(checkpoint).__name__}; a checkpoint is a dictionary of weights"
        )
    try:
        _restore_history(checkpoint)
        drop_unsafe_entries(checkpoint, name)
    except Exception as error:  # entries for histories and configs can hold anything
        raise CheckpointError(
            f"{name} is damaged: its message_hub or meta is not as MMEngine writes it "
            f"({type(error).__name__}: {error})"
        ) from error
    return checkpoint


def _supported(map_location: Any) -> Any:
    """Return the CPU instead of an Apple GPU, which cannot hold the float64 of log scalars."""
    on_apple = isinstance(map_location, (str, torch.device)) and str(map_location).startswith("mps")
    return "cpu" if on_apple else map_location


def _weights_only_is_forced() -> bool:
    return os.environ.get(FORCE_WEIGHTS_ONLY, "0").lower() in ("1", "y", "yes", "true")


def _refuse_other_formats(file: BinaryIO, name: str) -> None:
    """Refuse the two formats for which PyTorch bypasses the unpickler.

    ``torch.load`` passes a TorchScript archive to ``torch.jit.load``, which runs the archive's own
    initialisation code, and unpacks a tar file (the format of 2016) onto the disk. Some versions do
    so even with ``weights_only=True``.
    """
    is_zip = file.read(4) == b"PK\x03\x04"
    file.seek(0)
    if is_zip:
        # PyTorch's own reader, so that this check and torch.load see the same entries even in a
        # forged archive.
        if "constants.pkl" in torch._C.PyTorchFileReader(file).get_all_records():
            raise CheckpointError(f"{name} is a TorchScript program, not a checkpoint of weights")
        _compare_checksums(file, name)
    elif _is_tar(file):
        raise CheckpointError(f"{name} is a tar archive, not a checkpoint of PyTorch 0.4 or newer")
    file.seek(0)


def _compare_checksums(file: BinaryIO, name: str) -> None:
    """Compare the entries of an archive with their checksums, which PyTorch does not do.

    If all differ, they were written without checksums (``torch.serialization.set_crc32_options``).
    """
    try:
        archive = zipfile.ZipFile(file)
    except zipfile.BadZipFile:
        return  # PyTorch decides what it can read
    wrong = [entry.filename for entry in archive.infolist() if not _is_intact(archive, entry)]
    if wrong and len(wrong) < sum(entry.file_size > 0 for entry in archive.infolist()):
        raise CheckpointError(
            f"{name} is damaged: {wrong[0]} in it does not match its checksum; copy or download it "
            "again"
        )


def _is_intact(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bool:
    try:
        with archive.open(entry) as content:
            while content.read(2**20):
                pass
    except zipfile.BadZipFile:
        return False
    return True


def _is_tar(file: BinaryIO) -> bool:
    # `tarfile.is_tarfile` also accepts a file of zeros, which a crash may leave behind.
    with contextlib.suppress(tarfile.TarError), tarfile.open(fileobj=file, mode="r:") as archive:
        return archive.next() is not None
    return False


def _restore_history(checkpoint: dict) -> None:
    """Rebuild ``HistoryBuffer`` objects from what :func:`save_checkpoint` stores for them."""
    message_hub = checkpoint.get("message_hub")
    scalars = message_hub.get("log_scalars") if isinstance(message_hub, dict) else None
    for name, value in (scalars or {}).items():
        if isinstance(value, dict) and set(value) == _HISTORY_KEYS:
            scalars[name] = HistoryBuffer(
                log_history=value["log_history"].cpu().numpy(),
                count_history=value["count_history"].cpu().numpy(),
                max_length=value["max_length"],
            )


# --- Writing ----------------------------------------------------------------------------------


class _NotPlainError(TypeError):
    """A value has no representation as plain data."""


def save_checkpoint(
    checkpoint: dict,
    filename: str,
    file_client_args: dict | None = None,
    backend_args: dict | None = None,
) -> None:
    """Save a checkpoint that ``torch.load(path, weights_only=True)`` can load.

    Has the signature of MMEngine's function. A local file is written atomically
    (:func:`lpv_mmocr.atomic_files.atomic_write`) unless ``backend_args`` name another way.

    Args:
        checkpoint: Weights and any other entries. It is not modified.
        filename: Path or address to write to.
        file_client_args: MMEngine's older name for ``backend_args``.
        backend_args: Storage backend, as in :func:`mmengine.fileio.get_file_backend`.
    """
    plain = plain_data(checkpoint, where="checkpoint")
    if file_client_args is not None or filename.startswith("pavi://"):
        _write_checkpoint(plain, filename, file_client_args, backend_args)
        return
    if backend_args is None and "://" not in filename:
        backend_args = dict(backend=ATOMIC_BACKEND)
    # MMEngine's function would build a `FileClient` here as well, which it does not use and which
    # warns twice of its deprecation.
    content = io.BytesIO()
    torch.save(plain, content)
    # Released at once: in a reference cycle with an error it would crash Python 3.12.1's collector.
    with content.getbuffer() as buffer:
        get_file_backend(filename, backend_args=backend_args).put(buffer, filename)


def plain_data(value: Any, where: str = "value") -> Any:
    """Copy a nested value, converting everything but tensors to plain Python data.

    Tensors are shared, not copied. NumPy scalars become Python numbers, arrays become nested lists,
    log buffers become tensors and paths become strings; a subclass of a container becomes that
    container. For anything else, the innermost dictionary entry that contains it is dropped with a
    warning: on resuming, the object built from the config has its own value. The same applies to
    the function that ``OneCycleLR`` stores, which is dropped without a warning.

    Args:
        value: Value to copy.
        where: Name of the value in warnings.

    Returns:
        The copy.

    Raises:
        TypeError: If the value itself, or an element of a sequence outside any dictionary, cannot
            be converted.
    """
    if isinstance(value, np.generic):
        value = value.item()
    elif isinstance(value, np.ndarray):
        value = value.tolist()
    elif isinstance(value, os.PathLike):
        value = os.fspath(value)
    elif isinstance(value, HistoryBuffer):
        log_history, count_history = value.data
        return {
            "log_history": torch.as_tensor(log_history),
            "count_history": torch.as_tensor(count_history),
            "max_length": value.max_length,
        }

    if value is None or isinstance(value, (torch.Tensor, torch.dtype, torch.device, torch.Size)):
        return value
    for scalar_type in (bool, int, float, complex, str, bytes):
        if isinstance(value, scalar_type):
            return scalar_type(value)
    if isinstance(value, dict):
        return _plain_dict(value, where)
    if isinstance(value, list):
        return [plain_data(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, tuple):
        return tuple(plain_data(item, f"{where}[{i}]") for i, item in enumerate(value))
    if isinstance(value, (set, frozenset)):
        return {plain_data(item, where) for item in value}
    raise _NotPlainError(f"{where} is a {type(value).__name__}")


_REBUILT = frozenset({"anneal_func"})
"""Entries of a scheduler's state that the config rebuilds: a function of ``OneCycleLR``."""


def _plain_dict(value: dict, where: str) -> dict:
    result: dict = OrderedDict() if isinstance(value, OrderedDict) else {}
    for key, item in value.items():
        if key in _REBUILT:
            continue
        try:
            result[plain_data(key, where)] = plain_data(item, f"{where}[{key!r}]")
        except _NotPlainError as error:
            print_log(
                f"Not saved in the checkpoint, since only plain data can be loaded safely: {error}",
                logger="current",
                level=logging.WARNING,
            )
    # PyTorch stores the versions of modules as an attribute of the state dict.
    if isinstance(value, OrderedDict) and hasattr(value, "_metadata"):
        result._metadata = plain_data(value._metadata, f"{where}._metadata")
    return result
