"""The LPV recogniser."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.structures import LabelData
from mmocr.models.textrecog.recognizers import EncoderDecoderRecognizer
from mmocr.registry import MODELS
from mmocr.structures import TextRecogDataSample


@MODELS.register_module()
class LPV(EncoderDecoderRecognizer):
    """LPV scene text recogniser (arXiv 2305.05140): an SVTR encoder and a CPA decoder.

    MMOCR's encoder-decoder recogniser, with an empty text for a picture that is marked as bad.

    Args:
        preprocessor: Optional config of a rectifier such as MMOCR's ``STN``.
        backbone: Optional config of a backbone in front of, or instead of, the encoder.
        encoder: Config of the encoder, usually ``LPVSVTREncoder``.
        decoder: Config of the decoder, usually ``CPADecoder``.
        data_preprocessor: Config of the data preprocessor.
        init_cfg: MMEngine initialisation config.
    """

    def predict(
        self, inputs: torch.Tensor, data_samples: Sequence[TextRecogDataSample], **kwargs
    ) -> Sequence[TextRecogDataSample]:
        """Read words.

        Args:
            inputs: Images of shape (N, C, H, W), normalised.
            data_samples: N samples. Where one says ``bad_sample``, its picture could not be
                decoded and the image is a stand-in.
            **kwargs: Passed on to the base class, which has no use for them.

        Returns:
            The samples with ``pred_text`` as ``CPAPostprocessor`` writes it; an empty text with
            score 0 for a bad sample.
        """
        return self.empty_bad_samples(super().predict(inputs, data_samples, **kwargs))

    @staticmethod
    def empty_bad_samples(
        data_samples: Sequence[TextRecogDataSample],
    ) -> Sequence[TextRecogDataSample]:
        """Replace what was read out of stand-ins for pictures that could not be decoded.

        Args:
            data_samples: Samples with ``pred_text``.

        Returns:
            The same samples; those that say ``bad_sample`` have an empty text with score 0.
        """
        for sample in data_samples:
            if sample.get("bad_sample"):
                sample.pred_text = LabelData(item="", score=[0.0], word_score=0.0)
        return data_samples

    def to_deploy(self, **options) -> LPV:
        """Make a copy of the model that only reads, in less time.

        Args:
            **options: See :func:`lpv_mmocr.deploy.to_deploy`.

        Returns:
            The copy, in evaluation mode.
        """
        from ..deploy import to_deploy

        return to_deploy(self, **options)
