"""Finding the checkpoint that an interrupted run continues from."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import NamedTuple

from mmengine.logging import print_log
from mmengine.runner import checkpoint as mmengine_checkpoint

from ..atomic_files import final_name, is_partial
from ..compat import replace_everywhere
from .checkpoint_io import CheckpointError, load_checkpoint

LAST_CHECKPOINT = "last_checkpoint"
"""File of a work folder that names its last checkpoint."""

_PERIODIC = re.compile(r"(iter|epoch)_(\d+)\.pth")
_NEEDED = ("meta", "state_dict", "optimizer", "message_hub")


class _Number(NamedTuple):
    """Unit ("iter" or "epoch") and count in the name of a checkpoint.

    Numbers of different units cannot be compared.
    """

    kind: str
    count: int


class _Inspection(NamedTuple):
    """Result of inspecting a file.

    Attributes:
        file: Path of the file.
        problem: Reason why training cannot continue from it; None if it can.
        written: Time of writing, as text that sorts by time; empty if not known.
    """

    file: Path
    problem: str | None
    written: str = ""


def find_last_complete_checkpoint(path: str) -> str | None:
    """Return the last checkpoint of a work folder from which training can continue.

    This is the checkpoint that ``last_checkpoint`` names, or else the closest complete one before
    it. A checkpoint of a later iteration takes precedence if it was written afterwards, by a run
    that ended before it could update ``last_checkpoint``; otherwise an earlier run has left it. If
    nothing states which checkpoint is the last, the one with the highest number is used. Copying
    changes the time stamps of files, so they decide only between ``iter_N`` and ``epoch_N`` files
    when nothing names the last one; the log mentions a file that is newer than the one chosen.

    Each candidate is read completely before it is accepted; the log names those that are damaged or
    incomplete. The best checkpoints are not candidates, since they lack the optimiser's state. If
    none in the folder is complete, the folder of the file named in ``last_checkpoint`` is searched,
    which is another one if the checkpoint hook has an ``out_dir``. If file names contain no count,
    as with some ``filename_tmpl``, the file that ``last_checkpoint`` names is the only candidate.

    Args:
        path: Work folder of the run.

    Returns:
        Path of the checkpoint; ``None`` if there is none.
    """
    work_dir = Path(path)
    named = _named_as_last(work_dir)
    # Searched second, because a copied or renamed work folder still names files of the original.
    moved = named is not None and named.parent.resolve() != work_dir.resolve()
    elsewhere = [named.parent] if moved else []
    for folder in [work_dir, *elsewhere]:
        found = _last_of(_numbered(folder), _number(named) if named else None)
        if found is not None:
            return str(found)
    if named and _number(named) is None:
        # The checkpoint hook has its own filename_tmpl, so other candidates are not known.
        files = dict.fromkeys((work_dir / named.name, named))
        inspections = _inspect_until_complete([file for file in files if os.path.isfile(file)])
        if inspections and inspections[-1].problem is None:
            return str(inspections[-1].file)
    return None


def why_not_resumable(file: Path) -> str | None:
    """Return why training cannot continue from a file, if it cannot.

    Args:
        file: Checkpoint, which is read completely.

    Returns:
        What is wrong, with the file's name; None if nothing is.
    """
    return _inspect(file).problem


def install() -> None:
    """Let ``resume=True`` of a Runner search for checkpoints with this module."""
    replace_everywhere(mmengine_checkpoint.find_latest_checkpoint, find_last_complete_checkpoint)


def _named_as_last(work_dir: Path) -> Path | None:
    """Return the path in the file ``last_checkpoint``, or None if it is missing or empty."""
    pointer = work_dir / LAST_CHECKPOINT
    # A crash may leave anything in it.
    name = pointer.read_text("utf-8", errors="replace").strip("\0 \n") if pointer.is_file() else ""
    return Path(name) if name and "\0" not in name else None


def _number(file: Path) -> _Number | None:
    """Return the number in a checkpoint's name; None for the best ones and for other files."""
    match = _PERIODIC.fullmatch(final_name(file.name))
    return _Number(match[1], int(match[2])) if match else None


def _numbered(folder: Path) -> dict[Path, _Number]:
    """Return the numbered checkpoints of a folder, including incomplete ones."""
    # Not Path.is_dir, which fails if a name is too long.
    files = filter(Path.is_file, folder.iterdir()) if os.path.isdir(folder) else ()
    return {file: number for file in files if (number := _number(file)) is not None}


def _last_of(numbers: dict[Path, _Number], named: _Number | None) -> Path | None:
    """Return the last of a folder's checkpoints from which training can continue.

    Args:
        numbers: Checkpoints and their numbers.
        named: Number of the one that ``last_checkpoint`` names; None if it names none.
    """
    if not numbers:
        return None
    newest = max(numbers, key=lambda file: (not is_partial(file.name), _time_stamp(file)))
    kind = (named or numbers[newest]).kind
    files = sorted(
        numbers,
        key=lambda file: (numbers[file].kind == kind, numbers[file].count, is_partial(file.name)),
        reverse=True,
    )
    beyond = [f for f in files if named and numbers[f].kind == kind and numbers[f] > named]
    inspections = _inspect_until_complete([f for f in files if f not in beyond])
    whole = [each for each in inspections if each.problem is None]
    inspections += _inspect_until_complete(beyond, after=whole[0] if whole else None)
    last = next((each for each in reversed(inspections) if each.problem is None), None)
    if last is None:
        return None
    refused = [each.file for each in inspections if each.problem is not None]
    if newest not in refused and _time_stamp(newest) > _time_stamp(last.file):
        _warn(
            f"Resuming from {last.file}, although {newest} has a newer time stamp: copying changes "
            f"time stamps, and its name is not that of the last one. To use it: --resume {newest}"
        )
    return last.file


def _inspect_until_complete(
    files: list[Path], after: _Inspection | None = None
) -> list[_Inspection]:
    """Inspect files in order until one can be resumed from; warn of those before it.

    Args:
        files: Files to inspect.
        after: Files that were written before this one are rejected; None rejects none.
    """
    inspections = []
    for file in files:
        inspection = _inspect(file)
        if inspection.problem is None and after and "" < inspection.written < after.written:
            inspection = inspection._replace(
                problem=f"{file} was written before {after.file}; an earlier run has left it"
            )
        inspections.append(inspection)
        if inspection.problem is None:
            break
        _warn(f"Not resumed from: {inspection.problem}")
    return inspections


def _inspect(file: Path) -> _Inspection:
    """Read a checkpoint completely."""
    if is_partial(file.name):
        return _Inspection(file, f"{file} was being written when the run ended")
    try:
        checkpoint = load_checkpoint(file)
    except (CheckpointError, OSError) as error:
        return _Inspection(file, str(error))
    missing = [key for key in _NEEDED if key not in checkpoint]
    if missing:
        return _Inspection(file, f"{file} is without {', '.join(missing)}")
    return _Inspection(file, None, checkpoint["meta"].get("time", ""))


def _time_stamp(file: Path) -> int:
    return file.stat().st_mtime_ns


def _warn(message: str) -> None:
    print_log(message, logger="current", level=logging.WARNING)
