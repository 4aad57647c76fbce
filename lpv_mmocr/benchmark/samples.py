"""Made-up pictures and words: what a network costs does not depend on what it is shown."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

import cv2
import numpy as np
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.structures import LabelData
from mmocr.structures import TextRecogDataSample

from ..cli import InputError
from ..datasets.config_pipeline import pipeline_of_test

PICTURE_SIZE = (32, 100)
"""Height and width of the made-up pictures, those of a usual word of MJSynth."""

_ALPHABET = np.array(list("0123456789abcdefghijklmnopqrstuvwxyz"))
_WORD_LENGTHS = (3, 12)
_LOADERS = ("LoadImageFromFile", "LoadImageFromNDArray")


def random_pictures(number: int, shape: Sequence[int]) -> torch.Tensor:
    """Random pictures of shape (N, C, H, W), uint8; the same every time.

    Args:
        number: N.
        shape: Channels, height and width.
    """
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (number, *shape), dtype=torch.uint8, generator=generator)


def random_words(number: int, seed: int = 0) -> list[str]:
    """Random words of 3 to 12 digits and lower-case letters.

    Args:
        number: How many.
        seed: Seed; the same seed gives the same words.
    """
    rng = np.random.default_rng(seed)
    lengths = rng.integers(_WORD_LENGTHS[0], _WORD_LENGTHS[1] + 1, number)
    return ["".join(rng.choice(_ALPHABET, length)) for length in lengths]


def draw_word(word: str, rng: np.random.Generator) -> np.ndarray:
    """Picture of a word on a shaded, noisy ground, (H, W, 3) uint8, BGR.

    Args:
        word: What to draw.
        rng: Source of the noise.
    """
    height, width = PICTURE_SIZE
    picture = np.linspace(90, 220, width)[None, :, None] + rng.normal(0, 6, (height, width, 3))
    picture = picture.clip(0, 255).astype(np.uint8)
    scale = 0.9 * width / cv2.getTextSize(word, cv2.FONT_HERSHEY_DUPLEX, 1.0, 1)[0][0]
    origin = (4, height * 3 // 4)
    cv2.putText(picture, word, origin, cv2.FONT_HERSHEY_DUPLEX, min(scale, 0.9), (50, 30, 20), 1)
    return picture


def encoded_pictures(number: int) -> list[bytes]:
    """Contents of JPEG files of drawn words, the same every time.

    Args:
        number: How many.
    """
    rng = np.random.default_rng(0)
    pictures = [draw_word(word, rng) for word in random_words(number)]
    return [cv2.imencode(".jpg", picture)[1].tobytes() for picture in pictures]


def packed_sample(cfg: Config) -> dict:
    """What the config's test pipeline makes of a picture.

    Args:
        cfg: A recogniser's config. Where its encoder names the size of its pictures, that size
            holds, whatever the pipeline does.

    Returns:
        ``inputs``, uint8 of shape (C, H, W), and ``data_samples``.

    Raises:
        InputError: If neither the encoder nor a pipeline tells the size.
    """
    size = (cfg.model.get("encoder") or {}).get("img_size")
    if size is not None:
        inputs = random_pictures(1, (3, *size))[0]
        return dict(inputs=inputs, data_samples=TextRecogDataSample(metainfo=_meta(size)))
    pipeline = pipeline_of_test(cfg)
    if not pipeline:
        raise InputError(
            f"the config {cfg.filename} has no test pipeline, and its encoder no img_size: the "
            "size of its pictures is not known"
        )
    steps = [
        deepcopy(step)
        for step in pipeline
        if step["type"] not in ("LoadOCRAnnotations", "LoadWordImage")
    ]
    for step in steps:
        if step["type"] in _LOADERS:
            step["type"] = "InferencerLoader"
    picture = draw_word("benchmark", np.random.default_rng(0))
    # Some pack the annotations, too.
    return Compose(steps)(dict(img=picture, instances=[dict(text="benchmark")]))


def _meta(size: Sequence[int]) -> dict:
    return dict(img_shape=tuple(size), ori_shape=tuple(size), valid_ratio=1.0, img_path=None)


def labelled(
    data_samples: list[TextRecogDataSample], words: Sequence[str]
) -> list[TextRecogDataSample]:
    """Give samples a label.

    Args:
        data_samples: The samples, changed in place.
        words: Their words.

    Returns:
        The same samples.
    """
    for sample, word in zip(data_samples, words, strict=True):
        sample.gt_text = LabelData(item=word)
    return data_samples
