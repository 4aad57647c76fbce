"""Second pass over the worst errors, to show the images and the attention of the model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from mmocr.structures import TextRecogDataSample
from torch import nn
from torch.utils.data import DataLoader

from ..evaluation import TextProtocol
from ..sample_names import sample_name
from ..visualization import draw_attention
from .statistics import WordResult


@dataclass(frozen=True)
class WordImages:
    """Images of a word.

    Attributes:
        image: The word as the model saw it, RGB, uint8, (H, W, 3); None if the dataset no longer
            has that word at its index.
        attention: Visualisation of the attention of every stage, in the same format; None if the
            model keeps none.
    """

    image: np.ndarray | None
    attention: np.ndarray | None


def read_again(
    model: nn.Module, loader: DataLoader, words: Sequence[WordResult], protocol: TextProtocol
) -> list[WordImages]:
    """Read words again, one by one, keeping the attention if the model can.

    During a test it is not kept: for 100,000 words it would take gigabytes.

    Args:
        model: The model that read the words, in evaluation mode, not wrapped.
        loader: Loader of the dataset that contains the words.
        words: The words.
        protocol: Protocol that determines which characters count.

    Returns:
        Images of each word.
    """
    with _attention_kept(model):
        return [_images_of(model, loader, word, protocol) for word in words]


@torch.no_grad()
def _images_of(
    model: nn.Module, loader: DataLoader, word: WordResult, protocol: TextProtocol
) -> WordImages:
    packed = loader.dataset[word.index]
    # Test-time augmentation packs lists of views, the first of which is the plain image.
    variants = packed["inputs"] if isinstance(packed["inputs"], list) else [packed["inputs"]]
    (sample,) = model.test_step(loader.collate_fn([packed]))
    if (sample_name(sample), sample.gt_text.item) != (word.key, word.label):
        return WordImages(None, None)
    # (3, H, W), BGR as loaded, or (1, H, W), grey.
    planes = variants[0].flip(0).expand(3, -1, -1)
    image = np.ascontiguousarray(planes.permute(1, 2, 0).numpy())
    return WordImages(image, _attention(image, sample, protocol))


def _attention(
    image: np.ndarray, sample: TextRecogDataSample, protocol: TextProtocol
) -> np.ndarray | None:
    if "pred_attention" not in sample:
        return None
    truth = sample.gt_text.item
    return draw_attention(image, sample.pred_attention, gt_text=truth, protocol=protocol)


@contextmanager
def _attention_kept(model: nn.Module) -> Iterator[None]:
    decoder = getattr(model, "decoder", None)
    if not hasattr(decoder, "keep_attention"):
        yield
        return
    before, decoder.keep_attention = decoder.keep_attention, True
    try:
        yield
    finally:
        decoder.keep_attention = before
