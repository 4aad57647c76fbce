"""Move a training run from one machine to another in small files.

``pack`` writes a checkpoint into a folder, in parts of at most 16 MiB; ``unpack`` rebuilds the
checkpoint, from which tools/train.py --resume continues. Iteration, time used, schedule, random
state, config and training curves are included. To save space, numbers are rounded, and compressed:

- weights to half precision, as in published checkpoints (by up to 1 part in 2,000),
- the moments of the optimiser to bfloat16; the log keeps its last 1,000 values.

Vectors, such as biases and normalisation statistics, are kept exactly. A training run that
TimeBudgetHook has finished is packed with the marker of its end, but without the state of
optimiser, schedule and log.

Example:
    python tools/model_converters/carry_checkpoint.py pack work_dirs/run/iter_9000.pth carried
    python tools/model_converters/carry_checkpoint.py unpack carried work_dirs/run
    python tools/train.py CONFIG --work-dir work_dirs/run --resume
"""

from __future__ import annotations

import argparse
import contextlib
import io
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lpv_mmocr import cli
from lpv_mmocr.atomic_files import PARTIAL_SUFFIX, is_partial, partial_path
from lpv_mmocr.engine import CheckpointError, load_checkpoint, save_checkpoint
from lpv_mmocr.engine.checkpoint_io import plain_data
from lpv_mmocr.engine.checkpoint_search import LAST_CHECKPOINT
from lpv_mmocr.engine.time_budget import FINISHED
from lpv_mmocr.engine.work_folder import only_run_in

import torch
from mmengine.logging import HistoryBuffer
from torch import Tensor

from lpv_mmocr_cli import new_parser

PARTS = "part_*.pth"
PARTIAL_PARTS = PARTS + PARTIAL_SUFFIX
LIMIT = 16 * 2**20  # maximum bytes of a file
KEPT_VALUES = 1000
_SIXTEEN_BITS = (torch.float16, torch.bfloat16)
# Bytes allowed for a tensor's name, header and padding.
_OVERHEAD = 1024
# The entries of a checkpoint that are dictionaries of tensors.
_GROUPS = ("state_dict", "ema_state_dict", "optimizer")
# Sorts before the folders of later runs, which are named after their time.
_CARRIED_RUN = "0_carried"


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    packing = actions.add_parser("pack", help="write a checkpoint as small files")
    packing.add_argument("checkpoint", type=Path, help="checkpoint of a training run")
    packing.add_argument("folder", type=Path, help="folder for the parts; replaces earlier parts")
    unpacking = actions.add_parser("unpack", help="rebuild a checkpoint from small files")
    unpacking.add_argument("folder", type=Path, help="folder with the parts")
    unpacking.add_argument(
        "target", type=Path, help="file to write (.pth), or the work folder of the run"
    )
    return parser.parse_args(argv)


# --- Rounding and compression -----------------------------------------------------------------


def rounded(path: tuple, value: Tensor) -> Tensor:
    """Return a tensor of a checkpoint in fewer bytes.

    Args:
        path: Keys that lead to the tensor.
        value: The tensor.

    Returns:
        A matrix of float32 as float16 or bfloat16, unless it has values beyond half precision; any
        other tensor as it is.
    """
    if value.dtype != torch.float32 or value.dim() < 2:
        return value.contiguous()
    small = value.bfloat16() if path[0] == "optimizer" else value.half()
    return small if small.isfinite().all() else value.contiguous()


def compressed(value: Tensor) -> dict | Tensor:
    """Compress a 16-bit tensor; others are returned as they are.

    The high bytes, with sign and exponent, are alike, so they are compressed apart from the low
    ones.
    """
    if value.dtype not in _SIXTEEN_BITS or value.numel() == 0:
        return value
    planes = value.flatten().view(torch.uint8).view(-1, 2).T.contiguous().numpy()
    content = bytearray(zlib.compress(planes.data, level=1))
    return dict(
        shape=list(value.shape),
        dtype=value.dtype,
        zlib=torch.frombuffer(content, dtype=torch.uint8),
    )


def restored(value: dict | Tensor) -> Tensor:
    """Undo :func:`compressed` and :func:`rounded`, except for the lost precision."""
    if isinstance(value, dict):
        content = bytearray(zlib.decompress(value["zlib"].numpy().data))
        planes = torch.frombuffer(content, dtype=torch.uint8).view(2, -1)
        value = planes.T.contiguous().view(-1).view(value["dtype"]).view(value["shape"])
    return value.float() if value.dtype in _SIXTEEN_BITS else value


def shortened(message_hub: dict) -> dict:
    """Return the message hub with only the last values of its log buffers."""
    scalars = {}
    for name, buffer in message_hub.get("log_scalars", {}).items():
        log, count = (history[-KEPT_VALUES:] for history in buffer.data)
        scalars[name] = HistoryBuffer(log, count, buffer.max_length)
    return {**message_hub, "log_scalars": scalars}


# --- Packing ----------------------------------------------------------------------------------


def tensors_of(tree: dict, path: tuple) -> Iterator[tuple[tuple, Tensor]]:
    """Yield the tensors of nested dictionaries, with the keys that lead to them."""
    for key, value in tree.items():
        if isinstance(value, Tensor):
            yield (*path, key), value
        elif isinstance(value, dict):
            yield from tensors_of(value, (*path, key))


def without_tensors(tree: dict) -> dict:
    """Return nested dictionaries without their tensors."""
    return {
        key: without_tensors(value) if isinstance(value, dict) else value
        for key, value in tree.items()
        if not isinstance(value, Tensor)
    }


def pack(source: Path, folder: Path) -> list[Path]:
    """Write a checkpoint as parts.

    Raises:
        cli.InputError: If it is not a checkpoint of a training run, or a tensor exceeds the limit.
    """
    checkpoint = load_checkpoint(source)
    if "state_dict" not in checkpoint or "iter" not in checkpoint.get("meta", {}):
        raise cli.InputError(
            f"{source} is not a checkpoint of a training run: it needs weights and meta"
        )
    finished = (source.parent / FINISHED).is_file()
    if finished:
        checkpoint = {key: checkpoint[key] for key in ("meta", "state_dict")}
    elif "message_hub" in checkpoint:
        checkpoint["message_hub"] = shortened(checkpoint["message_hub"])
    groups = {name: checkpoint[name] for name in _GROUPS if name in checkpoint}
    tensors = {
        path: compressed(rounded(path, value))
        for name, group in groups.items()
        for path, value in tensors_of(group, (name,))
    }
    rest = {key: value for key, value in checkpoint.items() if key not in groups}
    rest.update({name: without_tensors(group) for name, group in groups.items()})
    rest["curves"] = "".join(
        line
        for file in sorted(source.parent.glob("*/vis_data/scalars.json"))
        for line in file.read_text(encoding="utf-8").splitlines(keepends=True)
        if line.endswith("\n")  # a crash may have truncated the last one
    )
    parts = divided(rest, tensors)
    # Distinguishes the parts of different packings.
    identity = f"{checkpoint['meta']['iter']}-{time.time_ns()}"
    written = []
    folder.mkdir(parents=True, exist_ok=True)
    finish_replacement(folder)
    for number, part in enumerate(parts, 1):
        part["carried"] = dict(identity=identity, number=number, parts=len(parts))
        if number == 1:
            part["carried"]["finished"] = finished
        written.append(partial_path(folder / f"part_{number}_of_{len(parts)}.pth"))
        save_checkpoint(part, str(written[-1]))
        if written[-1].stat().st_size > LIMIT:
            for file in written:
                file.unlink()
            raise cli.InputError(
                f"part {number} takes more than {LIMIT} bytes; the first holds the curves "
                f"({len(rest['curves'])} characters), which grow during training"
            )
    replace_parts(folder, written)
    return [file.with_suffix("") for file in written]


def replace_parts(folder: Path, files: list[Path]) -> None:
    """Delete all parts in a folder but the given ones, and give those their final names."""
    for old in {*folder.glob(PARTS), *folder.glob(PARTIAL_PARTS)}.difference(files):
        old.unlink()
    for file in files:
        if is_partial(file.name):
            file.rename(file.with_suffix(""))


def finish_replacement(folder: Path) -> None:
    """Finish what a killed process began: replace the parts, or delete unfinished ones."""
    complete = unfinished_replacement(folder)
    replace_parts(folder, list(complete or folder.glob(PARTS)))


def unfinished_replacement(folder: Path) -> dict[Path, dict] | None:
    """Return the complete parts that a killed process did not get round to renaming.

    It deletes the previous parts only when the new ones are complete.
    """
    if not any(folder.glob(PARTIAL_PARTS)):
        return None
    packings: dict[str, dict[Path, dict]] = {}
    for file in (*folder.glob(PARTS), *folder.glob(PARTIAL_PARTS)):
        with contextlib.suppress(CheckpointError, LookupError, TypeError):  # half written
            part = load_checkpoint(file)
            packings.setdefault(part["carried"]["identity"], {})[file] = part
    for parts in packings.values():
        number = next(iter(parts.values()))["carried"]["parts"]
        if len(parts) == number and any(is_partial(file.name) for file in parts):
            return parts
    return None


def divided(rest: dict, tensors: dict[tuple, Any]) -> list[dict]:
    """Spread tensors over parts, each into the first with room; all else goes into part one.

    Raises:
        cli.InputError: If a tensor is too large for a part.
    """
    plain = io.BytesIO()
    torch.save(plain_data(rest), plain)
    parts, room = [dict(rest, tensors={})], [LIMIT - plain.tell() - _OVERHEAD]
    for path, value in tensors.items():
        size = (value["zlib"] if isinstance(value, dict) else value).nbytes + _OVERHEAD
        if size > LIMIT - 2 * _OVERHEAD:
            raise cli.InputError(f"{'/'.join(map(str, path))} alone is too large for {LIMIT} bytes")
        place = next((number for number, free in enumerate(room) if free >= size), len(parts))
        if place == len(parts):
            parts.append(dict(tensors={}))
            room.append(LIMIT - 2 * _OVERHEAD)
        parts[place]["tensors"][path] = value
        room[place] -= size
    return parts


# --- Unpacking --------------------------------------------------------------------------------


def unpack(folder: Path, target: Path) -> Path | None:
    """Rebuild a checkpoint from parts.

    Args:
        folder: Folder with the parts.
        target: File to write, or the work folder, which also gets curves and markers.

    Returns:
        Path of the checkpoint; None if saving the very first one was interrupted.

    Raises:
        cli.InputError: If parts are missing, damaged or from different packings.
        FileExistsError: If another process trains in the work folder.
    """
    parts = all_parts(folder)
    if not parts:
        return None
    first = parts[0]
    own = ("carried", "curves", "tensors")
    checkpoint = {key: value for key, value in first.items() if key not in own}
    try:
        for part in parts:
            for path, value in part["tensors"].items():
                place = checkpoint
                for key in path[:-1]:
                    place = place.setdefault(key, {})
                place[path[-1]] = restored(value)
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError, zlib.error) as error:
        raise cli.InputError(
            f"the parts in {folder} are damaged ({type(error).__name__}: {error})"
        ) from error
    if target.suffix == ".pth":
        target.parent.mkdir(parents=True, exist_ok=True)
        save_checkpoint(checkpoint, str(target))
        return target
    iteration = checkpoint["meta"]["iter"]
    if type(iteration) is not int or iteration < 0:
        raise cli.InputError(f"{folder}: its iteration is {iteration!r}, which is not a number")
    file = target / f"iter_{iteration}.pth"
    curves = target / _CARRIED_RUN / "vis_data" / "scalars.json"
    with only_run_in(target):
        curves.parent.mkdir(parents=True, exist_ok=True)
        curves.write_text(first["curves"], encoding="utf-8")
        save_checkpoint(checkpoint, str(file))
        if first["carried"]["finished"]:
            (target / FINISHED).touch()
        else:
            (target / FINISHED).unlink(missing_ok=True)
        (target / LAST_CHECKPOINT).write_text(str(file), encoding="utf-8")
    return file


def all_parts(folder: Path) -> list[dict]:
    """Read the parts, in order; none if only unfinished ones exist.

    Raises:
        cli.InputError: If parts are missing or from different packings.
    """
    if found := unfinished_replacement(folder):
        return sorted(found.values(), key=lambda part: part["carried"]["number"])
    files = sorted(folder.glob(PARTS))
    if not files and any(folder.glob(PARTIAL_PARTS)):
        return []
    if not files:
        raise cli.InputError(f"{folder} has no part_*.pth: give the folder that pack wrote")
    found = {}
    for file in files:
        part = load_checkpoint(file)
        if "carried" not in part:
            raise cli.InputError(f"{file} was not written by pack")
        carried = part["carried"]
        found[carried["identity"], carried["number"]] = part
        wanted = [(carried["identity"], number + 1) for number in range(carried["parts"])]
    if sorted(found) != sorted(wanted):
        raise cli.InputError(
            f"{folder} does not hold all {len(wanted)} parts of one packing, but "
            f"{', '.join(file.name for file in files)}, some perhaps of another: copy all of it"
        )
    return [found[key] for key in wanted]


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    with cli.ReportInputErrors(traceback=args.traceback):
        if args.action == "pack":
            cli.require_file(str(args.checkpoint), "checkpoint")
            files = pack(args.checkpoint, args.folder)
            size = sum(file.stat().st_size for file in files) / 1e6
            print(f"{args.checkpoint}: {len(files)} files in {args.folder}, {size:.1f} MB")
        else:
            file = unpack(args.folder, args.target)
            print(f"{args.folder}: {file or 'no state, as saving the first one was interrupted'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
