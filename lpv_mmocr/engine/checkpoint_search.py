"""Finding the checkpoint that an interrupted run continues from."""

from __future__ import annotations

import logging
import re
from pathlib import Path

from mmengine.logging import print_log
from mmengine.runner import checkpoint as mmengine_checkpoint

from ..compat import replace_everywhere
from .atomic_file_backend import PARTIAL_SUFFIX
from .checkpoint_io import CheckpointError, load_checkpoint

LAST_CHECKPOINT = "last_checkpoint"
"""File of a work folder that names its last checkpoint."""

_PERIODIC = re.compile(r"(iter|epoch)_\d+\.pth")
_NEEDED = ("meta", "state_dict", "optimizer", "message_hub")


def find_last_complete_checkpoint(path: str) -> str | None:
    """The last checkpoint of a work folder from which training can continue.

    The newest file in the folder counts, whether ``last_checkpoint`` names it already or not. Each
    is read to its end before it is believed; the log names those that are damaged or half written.
    The best checkpoints do not count, as they are without the optimizer's state. Only where the
    folder has none, the one that ``last_checkpoint`` names and its neighbours are asked: they lie
    elsewhere if the checkpoint hook has an ``out_dir``.

    Args:
        path: Work folder of the run.

    Returns:
        Path of the checkpoint; ``None`` where there is none.
    """
    for folder in _folders(Path(path)):
        for candidate in _newest_first(folder):
            problem = why_not_resumable(candidate)
            if problem is None:
                return str(candidate)
            print_log(f"Not resumed from: {problem}", logger="current", level=logging.WARNING)
    return None


def why_not_resumable(file: Path) -> str | None:
    """Why training cannot continue from a file, if it cannot.

    Args:
        file: The checkpoint; it is read to its end.

    Returns:
        What is wrong, with the file's name; None where nothing is.
    """
    if file.suffix == PARTIAL_SUFFIX:
        return f"{file} was being written when the run ended"
    try:
        checkpoint = load_checkpoint(file)
    except CheckpointError as error:
        return str(error)
    missing = [key for key in _NEEDED if key not in checkpoint]
    return f"{file} is without {', '.join(missing)}" if missing else None


def install() -> None:
    """Let ``resume=True`` of a Runner look for checkpoints with this module."""
    replace_everywhere(mmengine_checkpoint.find_latest_checkpoint, find_last_complete_checkpoint)


def _folders(work_dir: Path) -> list[Path]:
    pointer = work_dir / LAST_CHECKPOINT
    if not pointer.is_file():
        return [work_dir]
    # Second, because a copied or renamed work folder still names files of the original.
    return [work_dir, Path(pointer.read_text(encoding="utf-8").strip()).parent]


def _newest_first(folder: Path) -> list[Path]:
    files = [
        file
        for file in (folder.iterdir() if folder.is_dir() else ())
        if _PERIODIC.fullmatch(file.name.removesuffix(PARTIAL_SUFFIX))
    ]
    return sorted(files, key=lambda file: file.stat().st_mtime_ns, reverse=True)
