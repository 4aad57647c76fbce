"""From pooled pictures to the model's input."""

from __future__ import annotations

from typing import Any

from mmengine.model import ImgDataPreprocessor
from mmocr.models.textrecog import TextRecogDataPreprocessor
from mmocr.registry import MODELS

from ..models.encoded_words import EncodedWords


@MODELS.register_module()
class StreamedDataPreprocessor(TextRecogDataPreprocessor):
    """MMOCR's preprocessor, which takes batches of ``StreamedWordDataset`` as well.

    Augmentations of ``batch_augments`` get the normalised images (N, 3, H, W) and the labels, and
    what they return counts.
    """

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Prepare a batch.

        Args:
            data: ``inputs`` and ``data_samples``, as lists from a data loader, or an image tensor
                with :class:`EncodedWords`.
            training: Whether to augment.

        Returns:
            ``inputs``, a float tensor of shape (N, 3, H, W), and ``data_samples``.
        """
        if not isinstance(data["data_samples"], EncodedWords):
            return super().forward(data, training)
        data = ImgDataPreprocessor.forward(self, data, training)
        inputs, data_samples = data["inputs"], data["data_samples"]
        if training:
            for augment in self.batch_augments or ():
                inputs, data_samples = augment(inputs, data_samples)
        return dict(inputs=inputs, data_samples=data_samples)
