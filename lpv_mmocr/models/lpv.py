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

    MMOCR's encoder-decoder recogniser, except that samples marked as bad get an empty text.

    Args:
        preprocessor: Optional config of a rectifier such as MMOCR's ``STN``.
        backbone: Optional config of a backbone before, or instead of, the encoder.
        encoder: Config of the encoder, usually ``LPVSVTREncoder``.
        decoder: Config of the decoder, usually ``CPADecoder``.
        data_preprocessor: Config of the data preprocessor.
        init_cfg: MMEngine initialisation config.
    """

    def predict(
        self, inputs: torch.Tensor, data_samples: Sequence[TextRecogDataSample], **kwargs
    ) -> Sequence[TextRecogDataSample]:
        """Predict the texts of a batch.

        Args:
            inputs: Images of shape (N, C, H, W), normalised.
            data_samples: N samples. ``bad_sample`` marks those whose image could not be decoded
                and was replaced by a placeholder.
            **kwargs: Passed to the base class, which ignores them.

        Returns:
            The samples with ``pred_text`` as written by ``CPAPostprocessor``; an empty text with
            score 0 for bad samples.
        """
        return self.empty_bad_samples(super().predict(inputs, data_samples, **kwargs))

    @staticmethod
    def empty_bad_samples(
        data_samples: Sequence[TextRecogDataSample],
    ) -> Sequence[TextRecogDataSample]:
        """Clear the predictions of samples whose image could not be decoded.

        Args:
            data_samples: Samples with ``pred_text``.

        Returns:
            The same samples; those marked ``bad_sample`` have an empty text with score 0, in every
            stage of ``pred_attention`` too.
        """
        for sample in data_samples:
            if sample.get("bad_sample"):
                sample.pred_text = LabelData(item="", score=[0.0], word_score=0.0)
                if "pred_attention" in sample:
                    stages = len(sample.pred_attention.stage_texts)
                    sample.pred_attention.stage_texts = [""] * stages
                    sample.pred_attention.stage_scores = [[0.0] for _ in range(stages)]
        return data_samples

    def to_deploy(self, **options) -> LPV:
        """Return a faster copy of the model for inference only.

        Args:
            **options: See :func:`lpv_mmocr.deploy.to_deploy`.

        Returns:
            The copy, in evaluation mode.
        """
        from ..deploy import to_deploy

        return to_deploy(self, **options)
