"""Files of a few thousand images, ready for the model, with their targets."""

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

from ..atomic_files import atomic_write

_NAME = re.compile(r"chunk_(\d{8})\.npz")


class DamagedChunkError(ValueError):
    """Raised when a file holds no complete chunk."""


class Chunk(NamedTuple):
    """Images of one size, with their targets.

    Attributes:
        images: uint8, shape (n, 3, H, W), BGR.
        targets: Class indexes, int16, shape (n, T).
        numbers: Indexes of the images within their source, int64, shape (n,).
    """

    images: np.ndarray
    targets: np.ndarray
    numbers: np.ndarray


def make_chunk(samples: Iterable[tuple[int, dict]], loss: BaseTextRecogModuleLoss) -> Chunk:
    """Build a chunk from samples.

    Args:
        samples: Index and sample of each image; a sample has ``img`` (uint8 (H, W, 3), all of
            one size) and ``instances[0]["text"]``.
        loss: Loss that encodes the labels, as it does in training.

    Returns:
        The chunk.

    Raises:
        ValueError: If there are no samples, or they differ in size.
    """
    images, words, numbers = [], [], []
    for number, sample in samples:
        images.append(sample["img"].transpose(2, 0, 1))
        word = TextRecogDataSample(metainfo=dict(sample_key=f"image {number}"))
        word.gt_text = LabelData(item=sample["instances"][0]["text"])
        words.append(word)
        numbers.append(number)
    if not images:
        raise ValueError("a chunk needs images, but the dataset is empty")
    if len({image.shape for image in images}) != 1:
        raise ValueError(
            f"a chunk needs images of one size, got {len(images)} images of sizes "
            f"{sorted({image.shape[1:] for image in images})}; end the pipeline with a Resize"
        )
    targets = [word.gt_text.padded_indexes.numpy() for word in loss.get_targets(words)]
    return Chunk(np.stack(images), np.stack(targets).astype(np.int16), np.array(numbers))


def chunk_path(folder: Path, number: int) -> Path:
    """Return the path of the chunk with the given number."""
    return folder / f"chunk_{number:08d}.npz"


def chunk_numbers(folder: Path) -> list[int]:
    """Return the numbers of the chunks in a folder, in ascending order."""
    found = (_NAME.fullmatch(name) for name in os.listdir(folder))
    return sorted(int(match[1]) for match in found if match)


def write_chunk(folder: Path, number: int, chunk: Chunk) -> None:
    """Write a chunk atomically.

    Raises:
        OSError: If it cannot be written; no partial file is left then.
    """
    # Not durable: a chunk damaged by a power failure is deleted later, and others take its place.
    with atomic_write(chunk_path(folder, number), durable=False) as file:
        np.savez(file, **chunk._asdict())


def read_chunk(folder: Path, number: int) -> Chunk:
    """Read a chunk.

    Raises:
        FileNotFoundError: If it does not exist.
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
        RuntimeError,  # unsupported compression or encryption
        zipfile.BadZipFile,
        OSError,
    ) as error:
        # EINVAL: an offset before the start of the file; other system errors are not damage.
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise
        raise DamagedChunkError(
            f"{path} is damaged, perhaps because the machine stopped ({error}); delete it"
        ) from error
