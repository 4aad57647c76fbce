"""Reading pictures of words."""

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
from .looks import read_with_looks
from .metadata import parse_metadata, parse_tta
from .pictures import Picture, PictureError, load_picture
from .preprocessing import prepare, shown


@dataclass(frozen=True)
class Reading:
    """What was read in a picture of a word.

    Attributes:
        source: Path of the file; for anything else, its position among the pictures, from 0.
        text: The text; None where the picture could not be read.
        confidence: Probability of the whole word: the product of the probabilities of all its
            characters and of its end.
        scores: Probability of each character of the text; none for an empty text.
        attention: Attention maps of all stages, float32 array (S, T, h, w); map k + 1 of the last
            belongs to character k. None if the file has no such output.
        picture: What was read, in RGB: the picture, or, if it was read best turned or cut
            otherwise, that, padded as the network was shown it; kept together with the attention,
            which belongs to it.
        error: Why the picture could not be read; None where it could.
    """

    source: str | int
    text: str | None = None
    confidence: float = 0.0
    scores: tuple[float, ...] = ()
    attention: np.ndarray | None = None
    picture: Image.Image | None = None
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, without attention and picture; six significant digits."""
        return dict(
            path=self.source,
            text=self.text,
            confidence=float(f"{self.confidence:.6g}"),
            scores=[float(f"{score:.6g}") for score in self.scores],
            error=self.error,
        )


class Reader:
    """Reads pictures of words with a model that is loaded once.

    Args:
        model: The ONNX file.
        engine: ``onnxruntime``, ``openvino``, or ``openvino-bf16``, which computes in bfloat16
            where the processor has it.
        threads: Threads for one batch; by default what the engine takes for the machine.
        providers: Execution providers of onnxruntime, such as ``["CUDAExecutionProvider"]``.
        batch_size: Number of pictures that are read at once. On a CPU more than one does not pay.
            An ``int8`` file rounds the numbers of a batch by its largest one, so that what it
            makes of a picture depends, a little, on what is read with it.
        tta: Look again at words that were read unsurely, in the ways that the file names, and keep
            the surest reading, as ``lpv-mmocr read`` does. A file that names none (one of an older
            version) is read with one look.

    Attributes:
        metadata: What the file says of itself, as a dictionary.
        run: The network alone: takes images of :meth:`prepare`, shape (N, 3, H, W), and returns
            logits (N, T, C) and, where the file has them, attention maps (N, S, T, h, w).

    Raises:
        FileNotFoundError: If there is no such file.
        ModelError: If it is no LPV, or one for a later version of this module.
        ImportError: If the engine is not installed.
        ValueError: If the engine is unknown, or a number is below 1.
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
        if batch_size < 1 or (threads is not None and threads < 1):
            raise ValueError("batch_size and threads must be at least 1")
        self.batch_size = batch_size
        self.run, text = start(path, engine, threads=threads, providers=providers)
        self.metadata = parse_metadata(text, path)
        self._preprocessing: dict[str, Any] = self.metadata["preprocessing"]
        looks, self._sure = parse_tta(self.metadata, path)
        self._looks = looks if tta else ()

    def __call__(self, pictures: Picture | Iterable[Picture]) -> list[Reading]:
        """Read pictures.

        Args:
            pictures: A picture or several.

        Returns:
            One reading per picture, in their order. Those of pictures that cannot be read have an
            ``error`` and no text.

        Raises:
            TypeError: If something is not a picture of any kind.
        """
        return list(self.iterate(pictures))

    def iterate(self, pictures: Picture | Iterable[Picture]) -> Iterator[Reading]:
        """Read pictures and hand out each batch as it is done, so that any number can be read.

        Args:
            pictures: A picture or several.

        Yields:
            What calling the reader returns.

        Raises:
            TypeError: If something is not a picture of any kind.
        """
        if isinstance(pictures, Picture):
            pictures = [pictures]
        numbered = enumerate(pictures)
        while batch := list(itertools.islice(numbered, self.batch_size)):
            yield from self._read_batch(batch)

    def _read_batch(self, batch: list[tuple[int, Picture]]) -> list[Reading]:
        images, readings = {}, {}
        for number, picture in batch:
            try:
                images[number] = load_picture(picture)
            except PictureError as error:
                readings[number] = Reading(number, error=str(error))
        seen = read_with_looks(
            self._read,
            list(images.values()),
            self._looks,
            confidence=lambda reading: reading.confidence,
            sure=self._sure,
        )
        readings.update(zip(images, (reading for reading, _ in seen), strict=True))
        return [
            replace(readings[number], source=_source(number, picture)) for number, picture in batch
        ]

    def _read(self, images: list[Image.Image]) -> list[Reading]:
        """Read pictures with one look; the readings have no source yet."""
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

    def prepare(self, picture: Picture) -> np.ndarray:
        """Make an image for the network out of a picture, as the training did.

        Args:
            picture: The picture.

        Returns:
            Array (3, H, W), float32, normalised.

        Raises:
            PictureError: If it cannot be read.
            TypeError: If it is not a picture of any kind.
        """
        return prepare(load_picture(picture), self._preprocessing)

    def _decode(self, logits: np.ndarray) -> tuple[tuple[str, float, tuple[float, ...]], list[int]]:
        """Text, confidence and scores from logits (T, C), as ``CPAPostprocessor`` makes them.

        Then the positions of the characters: a start class between them prints nothing.

        But an empty text has no scores, where MMOCR needs that of the end.
        """
        shifted = np.exp(logits - logits.max(-1, keepdims=True))
        probabilities = shifted / shifted.sum(-1, keepdims=True)
        # Position 0 belongs to the start class.
        indexes = probabilities.argmax(-1)[1:].tolist()
        scores = probabilities.max(-1)[1:].tolist()
        start, end = self.metadata["start"], self.metadata["end"]
        if end in indexes:
            read = indexes.index(end) + 1
            indexes, scores = indexes[:read], scores[:read]
        places = [place for place, index in enumerate(indexes) if index not in (start, end)]
        text = "".join(self.metadata["classes"][indexes[place]] for place in places)
        printed = tuple(scores[place] for place in places)
        return (text, math.prod(scores), printed), [place + 1 for place in places]


def _in_reading_order(maps: np.ndarray, places: list[int]) -> np.ndarray:
    """Maps (S, T, h, w), of whose last stage those of the characters stand behind the first one."""
    others = np.setdiff1d(np.arange(maps.shape[1]), [0, *places])
    return np.concatenate([maps[:-1], maps[-1:, [0, *places, *others]]])


def _source(number: int, picture: Picture) -> str | int:
    return os.fspath(picture) if isinstance(picture, str | os.PathLike) else number
