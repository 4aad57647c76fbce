"""From words as a data loader hands them over to the model's input."""

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


@MODELS.register_module()
class WordDataPreprocessor(TextRecogDataPreprocessor):
    """MMOCR's preprocessor, which brings a batch to the device in one piece and without waiting.

    MMOCR sends picture by picture, and swaps the channels of each with a list of indexes, for which
    the host waits until a GPU has done all its work. Pictures of one size need none
    of this; those of several sizes go MMOCR's way. The result is the same, except that in
    training the samples are changed in place, not copied.

    Batches of :class:`~lpv_mmocr.streaming.StreamedWordDataset` are taken as well. What the
    augmentations of ``batch_augments`` return counts; MMOCR throws it away.

    The arguments are MMOCR's.
    """

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Prepare a batch.

        Args:
            data: ``inputs``, a list of N images (3, h, w) or a tensor (N, 3, h, w), and
                ``data_samples``, a list or :class:`EncodedWords`, or None or absent.
            training: Whether to augment.

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
            # Copies, which predictions are written into. Training does not predict, and copying
            # takes longer than all the rest of this.
            words = words if training else self.cast_data(words)
            _describe_padding(words, inputs)
        if training:
            for augment in self.batch_augments or ():
                inputs, words = augment(inputs, words)
        return dict(inputs=inputs, data_samples=words)

    def _images(self, images: Sequence[torch.Tensor] | torch.Tensor) -> torch.Tensor:
        """Normalised images on the device, shape (N, 3, H, W)."""
        stacked = isinstance(images, torch.Tensor)
        shapes = {images.shape[1:]} if stacked else {image.shape for image in images}
        if len(shapes) != 1 or shapes.pop()[0] != 3 or self.pad_size_divisor != 1:
            return ImgDataPreprocessor.forward(self, dict(inputs=images))["inputs"]
        batch = images if stacked else torch.stack(tuple(images))
        if self.device.type == "cuda" and batch.device.type == "cpu" and not batch.is_pinned():
            batch = batch.pin_memory()
        batch = batch.to(self.device, non_blocking=True)  # nothing to do where it lies there
        if self._channel_conversion:
            batch = batch.flip(1)
        batch = batch.float()
        return (batch - self.mean) / self.std if self._enable_normalize else batch


def _describe_padding(words: Sequence[TextRecogDataSample], inputs: torch.Tensor) -> None:
    """Note what part of the input's width is picture, which some of MMOCR's modules ask for."""
    shape = tuple(inputs.shape[-2:])
    for word in words:
        valid_ratio = word.valid_ratio * word.img_shape[1] / shape[1]
        word.set_metainfo(dict(valid_ratio=valid_ratio, batch_input_shape=shape))
