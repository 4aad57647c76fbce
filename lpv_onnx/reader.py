"""Reader for images of words."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .engines import start
from .image_loading import ImageError, ImageInput, load_image
from .looks import read_with_tta
from .metadata import parse_metadata, parse_tta
from .preprocessing import prepare, shown

MAX_THREADS = 1024
"""Maximum number of threads; a system out of threads fails in other programs, too."""


@dataclass(frozen=True)
class Reading:
    """Result of reading an image of a word.

    Attributes:
        source: Path of the file; for anything else, its index among the images, from 0.
        text: Text; None if the image could not be read.
        confidence: Probability of the complete word: the product of the probabilities of all
            positions read, the end included.
        scores: Probability of each character of the text; empty for an empty text.
        attention: Attention maps of all stages, float32 array (S, T, h, w); map k + 1 of the last
            stage belongs to character k. None if the file has no such output.
        image: View that was read, in RGB, padded as the network saw it: the image itself or the
            view of test-time augmentation that was read best. Stored only together with
            ``attention``, which belongs to it.
        error: Reason why the image could not be read; None if it was read.
    """

    source: str | int
    text: str | None = None
    confidence: float = 0.0
    scores: tuple[float, ...] = ()
    attention: np.ndarray | None = None
    image: Image.Image | None = None
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON, without attention and image; six significant digits."""
        return dict(
            path=self.source,
            text=self.text,
            confidence=float(f"{self.confidence:.6g}"),
            scores=[float(f"{score:.6g}") for score in self.scores],
            error=self.error,
        )


class Reader:
    """Reader of images of words, with a model that is loaded once.

    Args:
        model: ONNX file.
        engine: ``onnxruntime``, ``openvino``, or ``openvino-bf16``, which computes in bfloat16
            if the processor supports it.
        threads: Number of threads per batch; the engine's default if None.
        providers: Execution providers of onnxruntime, such as ``["CUDAExecutionProvider"]``.
        batch_size: Number of images read at once. On a CPU more than one brings no gain. An
            ``int8`` file scales the values of a batch by the largest one, so that the result for an
            image depends slightly on the other images of its batch.
        tta: Whether to use test-time augmentation, as ``lpv-mmocr read`` does: words read with low
            confidence are read again in the other views that the file lists, and the most
            confident reading is kept. Files of older versions list none.

    Attributes:
        metadata: Metadata of the file, as a dictionary.
        run: The network alone: a function of images from :meth:`prepare`, shape (N, 3, H, W), that
            returns logits (N, T, C) and, if the file has them, attention maps (N, S, T, h, w).

    Raises:
        FileNotFoundError: If there is no such file.
        ModelError: If it is not an LPV, or one for a later version of this package.
        ImportError: If the engine is not installed.
        ValueError: If the engine is unknown, ``providers`` does not suit it, or ``batch_size`` or
            ``threads`` is out of range.
    """

    def __init__(
        self,
        model: str | os.PathLike,
        *,
        engine: str = "onnxruntime",
        threads: int | None = None,
        providers: Sequence[str] | None = None,
        batch_size: int = 1,
        tta: bool = True,
    ) -> None:
        path = Path(os.path.expanduser(model))
        if not path.is_file():
            raise FileNotFoundError(f"there is no model file {path}")
        if batch_size < 1:
            raise ValueError("batch_size must be at least 1")
        if threads is not None and not 1 <= threads <= MAX_THREADS:
            raise ValueError(f"threads must be from 1 to {MAX_THREADS}")
        self.batch_size = batch_size
        self.run, text = start(path, engine, threads=threads, providers=providers)
        self.metadata = parse_metadata(text, path)
        self._preprocessing: dict[str, Any] = self.metadata["preprocessing"]
        looks, self._sure = parse_tta(self.metadata, path)
        self._looks = looks if tta else ()

    def __call__(self, images: ImageInput | Iterable[ImageInput]) -> list[Reading]:
        """Read images.

        Args:
            images: One or more images.

        Returns:
            One reading per image, in the same order. For images that cannot be read it has an
            ``error`` and no text.

        Raises:
            TypeError: If something is none of the kinds of ``ImageInput``.
        """
        return list(self.iterate(images))

    def iterate(self, images: ImageInput | Iterable[ImageInput]) -> Iterator[Reading]:
        """Read any number of images, and yield the readings of each batch when it is done.

        Args:
            images: One or more images.

        Yields:
            The readings that calling the reader would return.

        Raises:
            TypeError: If something is none of the kinds of ``ImageInput``.
        """
        if isinstance(images, ImageInput):
            images = [images]
        numbered = enumerate(images)
        while batch := list(itertools.islice(numbered, self.batch_size)):
            yield from self._read_batch(batch)

    def _read_batch(self, batch: list[tuple[int, ImageInput]]) -> list[Reading]:
        loaded, readings = {}, {}
        for number, image in batch:
            try:
                loaded[number] = load_image(image)
            except ImageError as error:
                readings[number] = Reading(number, error=str(error))
        seen = read_with_tta(
            self._read,
            list(loaded.values()),
            self._looks,
            confidence=lambda reading: reading.confidence,
            sure=self._sure,
        )
        readings.update(zip(loaded, (reading for reading, _ in seen), strict=True))
        return [replace(readings[number], source=_source(number, image)) for number, image in batch]

    def _read(self, images: list[Image.Image]) -> list[Reading]:
        """Read each image once; the readings have no source yet."""
        if not images:
            return []
        logits, *attention = self.run(
            np.stack([prepare(image, self._preprocessing) for image in images])
        )
        read = [self._decode(word) for word in logits]
        if not attention:
            return [Reading("", *word) for word, _ in read]
        return [
            Reading("", *word, _in_reading_order(maps, places), shown(image, self._preprocessing))
            for (word, places), maps, image in zip(read, attention[0], images, strict=True)
        ]

    def prepare(self, image: ImageInput) -> np.ndarray:
        """Convert an image to an input image of the network, as in training.

        Args:
            image: Image to convert.

        Returns:
            Array (3, H, W), float32, normalised.

        Raises:
            ImageError: If it cannot be read.
            TypeError: If it is none of the kinds of ``ImageInput``.
        """
        return prepare(load_image(image), self._preprocessing)

    def _decode(self, logits: np.ndarray) -> tuple[tuple[str, float, tuple[float, ...]], list[int]]:
        """Decode logits (T, C) to (text, confidence, scores) and the characters' positions.

        As in ``CPAPostprocessor``, a start or padding class between characters prints nothing.
        Unlike there, an empty text has no scores; MMOCR needs that of the end.
        """
        shifted = np.exp(logits - logits.max(-1, keepdims=True))
        # A network that yields NaN is sure of nothing, and JSON has no NaN.
        probabilities = np.nan_to_num(shifted / shifted.sum(-1, keepdims=True))
        # Position 0 belongs to the start class.
        indexes = probabilities.argmax(-1)[1:].tolist()
        scores = probabilities.max(-1)[1:].tolist()
        start, end = self.metadata["start"], self.metadata["end"]
        if end in indexes:
            read = indexes.index(end) + 1
            indexes, scores = indexes[:read], scores[:read]
        special = {start, end, self.metadata.get("padding")}
        places = [place for place, index in enumerate(indexes) if index not in special]
        text = "".join(self.metadata["classes"][indexes[place]] for place in places)
        printed = tuple(scores[place] for place in places)
        return (text, math.prod(scores), printed), [place + 1 for place in places]


def _in_reading_order(maps: np.ndarray, places: list[int]) -> np.ndarray:
    """Return maps (S, T, h, w); in the last stage, map 0, the characters' maps, then the rest."""
    others = np.setdiff1d(np.arange(maps.shape[1]), [0, *places])
    return np.concatenate([maps[:-1], maps[-1:, [0, *places, *others]]])


def _source(number: int, image: ImageInput) -> str | int:
    return os.fspath(image) if isinstance(image, str | os.PathLike) else number
