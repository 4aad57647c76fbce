"""Files of some thousand pictures, ready for the model, and their targets."""

from __future__ import annotations

import errno
import os
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from mmengine.structures import LabelData
from mmocr.models.textrecog.module_losses import BaseTextRecogModuleLoss
from mmocr.structures import TextRecogDataSample

from ..whole_files import replaced_file

_NAME = re.compile(r"chunk_(\d{8})\.npz")


class DamagedChunkError(ValueError):
    """A file holds no whole chunk."""


class Chunk(NamedTuple):
    """Pictures of one size.

    Attributes:
        images: uint8, shape (n, 3, H, W), BGR.
        targets: Class indexes, int16, shape (n, T).
        numbers: Numbers of the pictures within their source, int64, shape (n,).
    """

    images: np.ndarray
    targets: np.ndarray
    numbers: np.ndarray


def make_chunk(samples: Iterable[tuple[int, dict]], loss: BaseTextRecogModuleLoss) -> Chunk:
    """Bring samples into the form of a chunk.

    Args:
        samples: Number and sample of each picture; a sample has ``img`` (uint8 (H, W, 3), all of
            one size) and ``instances[0]["text"]``.
        loss: Encodes the labels, as it does in training.

    Returns:
        The chunk.

    Raises:
        ValueError: If there is no sample, or they differ in size.
    """
    images, words, numbers = [], [], []
    for number, sample in samples:
        images.append(sample["img"].transpose(2, 0, 1))
        word = TextRecogDataSample(metainfo=dict(sample_key=f"picture {number}"))
        word.gt_text = LabelData(item=sample["instances"][0]["text"])
        words.append(word)
        numbers.append(number)
    if not images:
        raise ValueError("a chunk needs pictures, but the data set is empty")
    if len({image.shape for image in images}) != 1:
        raise ValueError(
            f"a chunk needs pictures of one size, got {len(images)} pictures of sizes "
            f"{sorted({image.shape[1:] for image in images})}; end the pipeline with a Resize"
        )
    targets = [word.gt_text.padded_indexes.numpy() for word in loss.get_targets(words)]
    return Chunk(np.stack(images), np.stack(targets).astype(np.int16), np.array(numbers))


def chunk_path(folder: Path, number: int) -> Path:
    """Where the chunk of a number lies."""
    return folder / f"chunk_{number:08d}.npz"


def chunk_numbers(folder: Path) -> list[int]:
    """Numbers of the chunks in a folder, in order."""
    found = (_NAME.fullmatch(name) for name in os.listdir(folder))
    return sorted(int(match[1]) for match in found if match)


def write_chunk(folder: Path, number: int, chunk: Chunk) -> None:
    """Write a chunk; it has its name only when it is whole.

    Raises:
        OSError: If it cannot be written; nothing is left of it then.
    """
    # A chunk that a power failure damages is made again.
    with replaced_file(chunk_path(folder, number), durable=False) as file:
        np.savez(file, **chunk._asdict())


def read_chunk(folder: Path, number: int) -> Chunk:
    """Read a chunk.

    Raises:
        FileNotFoundError: If it is not there.
        DamagedChunkError: If it is damaged.
    """
    path = chunk_path(folder, number)
    try:
        with np.load(path) as arrays:
            return Chunk(**{name: arrays[name] for name in Chunk._fields})
    except (
        ValueError,
        EOFError,
        KeyError,
        RuntimeError,  # a compression or a password that there is not
        zipfile.BadZipFile,
        OSError,
    ) as error:
        # A place before the file's beginning; other errors of the system are no damage.
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise
        raise DamagedChunkError(
            f"{path} is damaged, perhaps since the machine stopped ({error}); delete it"
        ) from error
