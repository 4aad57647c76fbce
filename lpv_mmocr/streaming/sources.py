"""Sources of the images in a pool."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

import torch
from mmengine.logging import print_log
from mmocr.models.textrecog.module_losses import BaseTextRecogModuleLoss
from mmocr.registry import DATASETS
from torch.utils.data import Dataset

from ..engine.random_state import seeded
from ..models.encoded_words import EncodedWords, LabelEncoding
from .chunk import (
    Chunk,
    DamagedChunkError,
    chunk_numbers,
    chunk_path,
    make_chunk,
    read_chunk,
)
from .image_pool import ImagePool
from .producer import ChunkProducer

_POLL_SECONDS = 0.2
_REPORT_SECONDS = 30.0


class InMemorySource:
    """Source that loads a dataset into its pool completely.

    Args:
        dataset: Config of a map-style dataset whose samples have ``img`` and ``instances``.
        loss: Loss that encodes the labels.
        device: Device of the pool.
    """

    def __init__(
        self, *, dataset: dict, loss: BaseTextRecogModuleLoss, device: torch.device
    ) -> None:
        self._dataset = DATASETS.build(dataset)
        self._loss = loss
        self._device = device

    def start(self) -> None:
        """Load all images."""
        samples = ((number, self._dataset[number]) for number in range(len(self._dataset)))
        chunk = make_chunk(samples, self._loss)
        self.pool = ImagePool(len(chunk.images), self._device)
        self.pool.add(chunk)

    def draw(self, count: int) -> tuple[torch.Tensor, EncodedWords]:
        """Draw images at random; see :meth:`ImagePool.draw`."""
        return self.pool.draw(count)

    def stop(self) -> None:
        """Do nothing: there are no processes to stop."""


class StreamedSource:
    """Source whose pool holds the newest images of an endless dataset.

    Processes write chunks to disk (:class:`ChunkProducer`); a thread loads them into the pool and
    deletes those whose images have left it. A resumed training run finds its pool on disk again;
    damaged chunks are deleted, and the log names them.

    Args:
        dataset: Config of a map-style dataset whose samples have ``img`` and ``instances``.
        loss: Loss that encodes the labels.
        device: Device of the pool.
        folder: Folder for the chunks; takes about 9.6 kB per image of 32 × 100.
        capacity: Number of images in the pool, rounded down to whole chunks; at least two
            chunks, since one of them may be in the middle of being replaced.
        workers: Number of processes that make images.
        chunk_size: Number of images in a chunk.
        min_images: Number of images to wait for at the start.

    Raises:
        FileExistsError: If the folder is in use, or holds chunks made with other settings.
        ValueError: If ``capacity`` is below two chunks or ``min_images``, or a number is not
            positive.
    """

    def __init__(
        self,
        *,
        dataset: dict,
        loss: BaseTextRecogModuleLoss,
        device: torch.device,
        folder: str | Path,
        capacity: int,
        workers: int,
        chunk_size: int = 2048,
        min_images: int = 20_000,
    ) -> None:
        for name, value in (("chunk_size", chunk_size), ("min_images", min_images)):
            if value < 1:
                raise ValueError(f"{name} must be positive, got {value}")
        rounded = capacity // chunk_size * chunk_size
        if rounded < max(2 * chunk_size, min_images):
            raise ValueError(
                f"capacity={capacity}, {rounded} in whole chunks, must be at least twice "
                f"chunk_size={chunk_size} and min_images={min_images}"
            )
        self._dataset: Dataset = DATASETS.build(dataset)
        self._loss = loss
        self._chunk_size = chunk_size
        self._min_images = min_images
        self._max_chunks = capacity // chunk_size
        self.pool = ImagePool(rounded, device)
        self._producer = ChunkProducer(
            folder,
            self._make,
            recipe=dict(
                dataset=dataset,
                content=getattr(self._dataset, "fingerprint", None),
                chunk_size=chunk_size,
                loss=LabelEncoding.of(loss)._asdict(),
            ),
            workers=workers,
            max_waiting=self._max_chunks + 2 * workers,
        )
        self._folder = Path(folder)
        self._pooled: list[int] = []
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None

    def start(self) -> None:
        """Start the processes, and wait for the first images.

        Raises:
            ChildProcessError: If a process ends in the meantime.
        """
        self._producer.start()
        self._thread = threading.Thread(target=self._feed, name="feeds the pool", daemon=True)
        self._thread.start()
        reported = time.monotonic()
        while len(self.pool) < self._min_images:
            self._check()
            time.sleep(_POLL_SECONDS)
            if time.monotonic() - reported > _REPORT_SECONDS:
                reported = time.monotonic()
                print_log(f"{len(self.pool)} of {self._min_images} images", logger="current")

    def draw(self, count: int) -> tuple[torch.Tensor, EncodedWords]:
        """Draw images at random; see :meth:`ImagePool.draw`.

        Raises:
            ChildProcessError: If a process that makes images has ended.
        """
        self._check()
        return self.pool.draw(count)

    def stop(self) -> None:
        """Stop the processes and the thread."""
        self._stopped.set()
        self._producer.stop()
        # At interpreter exit, a thread inside PyTorch would crash.
        if self._thread is not None:
            self._thread.join()

    def _make(self, number: int) -> Chunk:
        first = number * self._chunk_size
        places = range(first, first + self._chunk_size)
        # Random numbers in the pipeline must depend on the chunk, not on the process: forked
        # processes all start with the same random state.
        with seeded(number):
            return make_chunk(((place, self._dataset[place]) for place in places), self._loss)

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure
        self._producer.check()

    def _feed(self) -> None:
        try:
            while not self._stopped.wait(_POLL_SECONDS):
                self._take_new_chunks()
        except BaseException as error:  # raised again in the training thread
            self._failure = error

    def _take_new_chunks(self) -> None:
        pooled = set(self._pooled)
        new = [number for number in chunk_numbers(self._folder) if number not in pooled]
        for number in new:
            if self._stopped.is_set():
                return
            try:
                chunk = read_chunk(self._folder, number)
            except DamagedChunkError as error:
                # More chunks follow, so training can continue.
                path = chunk_path(self._folder, number)
                path.unlink()
                print_log(
                    f"Deleted {path}, which was damaged ({error.__cause__})",
                    logger="current",
                    level=logging.WARNING,
                )
                continue
            self.pool.add(chunk)
            self._pooled.append(number)
            while len(self._pooled) > self._max_chunks:
                chunk_path(self._folder, self._pooled.pop(0)).unlink()
