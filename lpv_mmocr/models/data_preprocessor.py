"""Data preprocessor that turns batches of a data loader into model input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from mmengine.model import ImgDataPreprocessor
from mmocr.models.textrecog import TextRecogDataPreprocessor
from mmocr.registry import MODELS
from mmocr.structures import TextRecogDataSample

from .encoded_words import EncodedWords
from .transfer import to_device


@MODELS.register_module()
class WordDataPreprocessor(TextRecogDataPreprocessor):
    """MMOCR's preprocessor with a single asynchronous transfer of the batch to the device.

    MMOCR transfers images one by one and swaps the channels of each with a list of indexes, which
    makes the host wait until the GPU has finished all its work. For images of equal size, neither
    is needed; those of different sizes are still processed by MMOCR's code. The result is the same,
    except that in training the samples are modified in place instead of copied.

    Batches of :class:`~lpv_mmocr.streaming.StreamedWordDataset` are supported too. The return
    values of ``batch_augments`` are used; MMOCR discards them.

    The arguments are those of MMOCR's class.
    """

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Prepare a batch.

        Args:
            data: ``inputs``, a list of N images (3, h, w) or a tensor (N, 3, h, w), and
                ``data_samples``, a list or :class:`EncodedWords`, or None or absent.
            training: Whether to augment; samples are then modified in place instead of copied.

        Returns:
            ``inputs``, a float tensor of shape (N, 3, H, W), and ``data_samples``.
        """
        inputs, words = self._images(data["inputs"]), data.get("data_samples")
        if isinstance(words, EncodedWords):
            words = replace(
                words,
                targets=words.targets.to(self.device),
                numbers=words.numbers.to(self.device),
            )
        elif words is not None:
            # Copies, because predictions are written into them. Training does not predict, and
            # copying takes longer than the rest of this method.
            words = words if training else self.cast_data(words)
            _describe_padding(words, inputs)
        if training:
            for augment in self.batch_augments or ():
                inputs, words = augment(inputs, words)
        return dict(inputs=inputs, data_samples=words)

    def _images(self, images: Sequence[torch.Tensor] | torch.Tensor) -> torch.Tensor:
        """Return the normalised images on the device, shape (N, 3, H, W)."""
        stacked = isinstance(images, torch.Tensor)
        shapes = {images.shape[1:]} if stacked else {image.shape for image in images}
        if len(shapes) != 1 or shapes.pop()[0] != 3 or self.pad_size_divisor != 1:
            return ImgDataPreprocessor.forward(self, dict(inputs=images))["inputs"]
        batch = images if stacked else torch.stack(tuple(images))
        batch = to_device(batch, self.device)
        if self._channel_conversion:
            batch = batch.flip(1)
        batch = batch.float()
        return (batch - self.mean) / self.std if self._enable_normalize else batch


def _describe_padding(words: Sequence[TextRecogDataSample], inputs: torch.Tensor) -> None:
    """Store the fraction of the input's width that is not padding, for some of MMOCR's modules."""
    shape = tuple(inputs.shape[-2:])
    for word in words:
        valid_ratio = word.valid_ratio * word.img_shape[1] / shape[1]
        word.set_metainfo(dict(valid_ratio=valid_ratio, batch_input_shape=shape))
