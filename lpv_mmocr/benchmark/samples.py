"""Synthetic images and words: the cost of a network does not depend on its input."""

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
from ..drawn_words import draw_word, random_words

_LOADERS = ("LoadImageFromFile", "LoadImageFromNDArray")


def random_images(number: int, shape: Sequence[int]) -> torch.Tensor:
    """Return random images of shape (N, C, H, W), uint8; the same every time.

    Args:
        number: Number N of images.
        shape: Channels, height and width.
    """
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (number, *shape), dtype=torch.uint8, generator=generator)


def encoded_images(number: int) -> list[bytes]:
    """Return the contents of JPEG files of drawn words, the same every time.

    Args:
        number: Number of images.
    """
    rng = np.random.default_rng(0)
    images = [draw_word(word, rng) for word in random_words(number)]
    return [cv2.imencode(".jpg", image)[1].tobytes() for image in images]


def packed_sample(cfg: Config) -> dict:
    """Return a sample as packed by the config's test pipeline.

    Args:
        cfg: A recogniser's config. If its encoder specifies the size of its images, that size is
            used, regardless of the pipeline.

    Returns:
        ``inputs``, uint8 of shape (C, H, W), and ``data_samples``.

    Raises:
        InputError: If neither the encoder nor a pipeline specifies the size.
    """
    size = (cfg.model.get("encoder") or {}).get("img_size")
    if size is not None:
        inputs = random_images(1, (3, *size))[0]
        return dict(inputs=inputs, data_samples=TextRecogDataSample(metainfo=_meta(size)))
    pipeline = pipeline_of_test(cfg)
    if not pipeline:
        raise InputError(
            f"the config {cfg.filename} has no test pipeline, and its encoder no img_size: the "
            "size of its images is unknown"
        )
    steps = [
        deepcopy(step)
        for step in pipeline
        if step["type"] not in ("LoadOCRAnnotations", "LoadWordImage")
    ]
    for step in steps:
        if step["type"] in _LOADERS:
            step["type"] = "InferencerLoader"
    image = draw_word("benchmark", np.random.default_rng(0))
    # Some pipelines pack the annotations, too.
    return Compose(steps)(dict(img=image, instances=[dict(text="benchmark")]))


def _meta(size: Sequence[int]) -> dict:
    return dict(img_shape=tuple(size), ori_shape=tuple(size), valid_ratio=1.0, img_path=None)


def labelled(
    data_samples: list[TextRecogDataSample], words: Sequence[str]
) -> list[TextRecogDataSample]:
    """Set the labels of samples.

    Args:
        data_samples: Samples, changed in place.
        words: One word per sample.

    Returns:
        The same samples.
    """
    for sample, word in zip(data_samples, words, strict=True):
        sample.gt_text = LabelData(item=word)
    return data_samples
