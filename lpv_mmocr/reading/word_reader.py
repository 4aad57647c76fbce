"""Reading images of words."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

import numpy as np
from mmengine.config import Config
from mmocr.structures import TextRecogDataSample
from PIL import Image

from ..datasets.transforms.word_look import LOOKS
from ..deploy import DTYPES, to_deploy
from ..models.best_look_tta import word_confidence
from ..visualization import character_boxes
from ..visualization.canvas import with_padding
from .image_files import ImageFiles
from .image_loading import MAX_PIXELS, ImageError, load_image
from .inferencer import build_inferencer
from .looks import SeenWord, read_with_tta
from .reading import Reading
from .weights import find_weights

ImageInput = str | os.PathLike | np.ndarray | Image.Image
"""A file or folder, a BGR array that ``LoadWordImage`` accepts, or a Pillow image."""


class WordReader:
    """Reader for images of words that loads its model once.

    MMOCR's ``TextRecInferencer`` does the work; this class finds weights and images, reports
    images that cannot be read, and returns plain data.

    Args:
        weights: Checkpoint; by default that of :func:`~lpv_mmocr.reading.weights.find_weights`.
        config: Config or its path; by default the one inside the checkpoint.
        device: Device such as ``cpu`` or ``cuda:1``; by default the first GPU if there is one.
        batch_size: Maximum number of images to read at once; fewer if they are large photos, to
            save memory.
        attention: Whether to keep attention and image in each reading.
        boxes: Whether to locate each character.
        deploy: Float type (``fp32``, ``bf16`` or ``fp16``) of the deployed model to read with,
            which is faster; None for the model as trained.
        max_pixels: Maximum number of pixels; larger files are not read.
        tta: Whether to read low-confidence words again in other views (rotated, sheared, cropped),
            and keep the most confident reading (:mod:`lpv_mmocr.reading.looks`).

    Raises:
        FileNotFoundError: If there are no weights or no config.
        ValueError: If weights, config, device and options do not go together.
        CheckpointError: If the file is damaged, or is not a checkpoint.

    Example:
        >>> reader = WordReader("lpv-tiny", device="cpu")
        >>> [reading.text for reading in reader.read(["a.jpg", "b.jpg"])]
    """

    def __init__(
        self,
        weights: str | os.PathLike | None = None,
        config: str | os.PathLike | Config | None = None,
        *,
        device: str | None = None,
        batch_size: int = 32,
        attention: bool = False,
        boxes: bool = False,
        deploy: str | None = None,
        max_pixels: int = MAX_PIXELS,
        tta: bool = True,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if deploy is not None and deploy not in DTYPES:
            raise ValueError(f"deploy must be one of {', '.join(DTYPES)}, got {deploy!r}")
        if deploy is not None and (attention or boxes):
            raise ValueError(
                "a deployed model keeps no attention, so neither attention nor boxes are "
                "available; leave deploy out"
            )
        self.batch_size = batch_size
        self.max_pixels = max_pixels
        self._attention, self._boxes = attention, boxes
        self._looks = LOOKS if tta else ()
        self._inferencer = build_inferencer(find_weights(weights), config, device)
        model = self._inferencer.model
        if attention or boxes:
            if not hasattr(model.decoder, "keep_attention"):
                raise ValueError(
                    f"{type(model.decoder).__name__} has no attention to show or to take boxes "
                    "from; CPADecoder has"
                )
            if model.with_preprocessor:
                raise ValueError(
                    f"{type(model.preprocessor).__name__} warps images before they are read; "
                    "attention and boxes would not match the positions of the characters"
                )
            model.decoder.keep_attention = True
        if deploy is not None:
            self._inferencer.model = to_deploy(model, dtype=DTYPES[deploy])

    def read(self, images: ImageInput | Iterable[ImageInput]) -> list[Reading]:
        """Read images.

        Args:
            images: One or more images. A folder stands for the images in it, by suffix.

        Returns:
            One reading per image, in order. Readings of images that cannot be read have an
            ``error`` and no text.

        Raises:
            TypeError: If an item is of none of these types.
        """
        return list(self.iterate(images))

    def iterate(self, images: ImageInput | Iterable[ImageInput]) -> Iterator[Reading]:
        """Read any number of images, and yield the readings of each batch once it is done.

        Args:
            images: See :meth:`read`.

        Yields:
            Readings, as in the result of :meth:`read`.

        Raises:
            TypeError: If an item is of none of these types.
        """
        # Any other object is treated as one image, so that the error lists the accepted types.
        if isinstance(images, ImageInput | bytes) or not isinstance(images, Iterable):
            images = [images]
        batch: list[tuple[str | int, np.ndarray | str]] = []
        pixels = 0
        for source, item in _numbered(images):
            try:
                image = load_image(item, max_pixels=self.max_pixels)
                pixels += image.shape[0] * image.shape[1]
            except ImageError as error:
                image = str(error)  # the error itself would keep the file in memory
            batch.append((source, image))
            # A batch of photos in full size would take gigabytes.
            if len(batch) == self.batch_size or pixels >= MAX_PIXELS:
                yield from self._read_batch(batch)
                batch, pixels = [], 0
        yield from self._read_batch(batch)

    def _read_batch(self, batch: list[tuple[str | int, np.ndarray | str]]) -> Iterator[Reading]:
        images = [image for _, image in batch if not isinstance(image, str)]
        seen = iter(read_with_tta(self._samples, images, looks=self._looks))
        for source, image in batch:
            if isinstance(image, str):
                yield Reading(source, error=image)
            else:
                yield self._reading(source, image, next(seen))

    def _samples(self, images: list[np.ndarray]) -> list[TextRecogDataSample]:
        if not images:
            return []
        answer = self._inferencer(
            images,
            batch_size=len(images),
            return_datasamples=True,
            progress_bar=False,
            out_dir="",
        )
        return answer["predictions"]

    def _reading(self, source: str | int, given: np.ndarray, seen: SeenWord) -> Reading:
        sample = seen.sample
        text = sample.pred_text.item
        # A model that yields NaN is sure of nothing, and JSON has no NaN.
        scores = np.nan_to_num([float(score) for score in sample.pred_text.score]).tolist()
        boxes = shown = None
        if self._boxes or self._attention:  # attention maps cover the padding, too
            shown = with_padding(seen.image, sample.get("valid_ratio", 1.0))
        if self._boxes:
            attention = sample.pred_attention
            # The text itself may hold a class of several characters, such as <UKN>.
            boxes = character_boxes(
                attention.attn_maps, len(attention.stage_texts[-1]), shown.shape[:2]
            )
            boxes = seen.boxes_in_given(boxes, given.shape[:2])
        return Reading(
            source,
            text=text,
            confidence=word_confidence(sample),
            # For an empty text MMOCR needs one score, that of the end.
            scores=tuple(scores) if text else (),
            boxes=boxes,
            attention=sample.pred_attention if self._attention else None,
            image=shown if self._attention else None,
        )


def read(
    images: ImageInput | Iterable[ImageInput],
    *,
    weights: str | os.PathLike | None = None,
    config: str | os.PathLike | Config | None = None,
    device: str | None = None,
    batch_size: int = 32,
    attention: bool = False,
    boxes: bool = False,
    deploy: str | None = None,
    tta: bool = True,
) -> list[Reading]:
    """Read images of words.

    This loads the model on each call. To read repeatedly, keep a :class:`WordReader`.

    Args:
        images: One or more images, of any mix of types: paths of files or folders (for the
            images in them), arrays in BGR order, and Pillow images.
        weights: Checkpoint; by default the file that the environment variable ``LPV_WEIGHTS``
            names, else the checkpoint bundled with the project.
        config: Config or its path; by default the one inside the checkpoint.
        device: Device such as ``cpu`` or ``cuda:1``; by default the first GPU if there is one.
        batch_size: Maximum number of images to read at once.
        attention: Whether to keep attention and image in each reading.
        boxes: Whether to locate each character.
        deploy: Float type of the deployed model to read with (:class:`WordReader`).
        tta: Whether to use test-time augmentation on low-confidence words (:class:`WordReader`).

    Returns:
        One reading per image, in order. Readings of images that cannot be read have an
        ``error`` and no text.

    Raises:
        FileNotFoundError: If there are no weights or no config.
        ValueError: If weights, config, device and options do not go together.
        CheckpointError: If the file is damaged, or is not a checkpoint.
        TypeError: If an item is of none of these types.
    """
    reader = WordReader(
        weights,
        config,
        device=device,
        batch_size=batch_size,
        attention=attention,
        boxes=boxes,
        deploy=deploy,
        tta=tta,
    )
    return reader.read(images)


def _numbered(images: Iterable[ImageInput]) -> Iterator[tuple[str | int, ImageInput]]:
    """Yield each image with its source, expanding folders."""
    position = 0
    for image in images:
        if not isinstance(image, (str, os.PathLike)):
            yield position, image
            position += 1
            continue
        # Listed: in Python, names are not patterns.
        for file in ImageFiles((), [os.fspath(image)]):
            yield file, file
            position += 1
