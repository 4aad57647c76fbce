"""Test-time augmentation of words: look again where the first look is unsure."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from mmengine.model import BaseTTAModel
from mmocr.registry import MODELS
from mmocr.structures import TextRecogDataSample
from torch import nn

SURE = 0.8
"""Confidence from which a reading is taken as it is; docs/reading.md has the measure."""


@MODELS.register_module()
class BestLookTTAModel(BaseTTAModel):
    """Reads words of low confidence again, and keeps the most confident reading of each.

    One look after the other is taken, at those words alone of which no look so far was sure, and
    not where it leaves the picture as it is.
    MMOCR's ``EncoderDecoderRecognizerTTAModel`` takes all looks at all words, and goes by the mean
    over the characters, with which a long word hides the one character that is a guess.

    Args:
        module: The recogniser, or its config.
        data_preprocessor: Its data preprocessor, where it has none of its own.
        sure: Confidence from which no further look is taken; above 1 all are taken at all words.
    """

    def __init__(
        self,
        module: dict | nn.Module,
        data_preprocessor: dict | nn.Module | None = None,
        *,
        sure: float = SURE,
    ) -> None:
        super().__init__(module, data_preprocessor)
        self.sure = sure

    def test_step(self, data: dict[str, Sequence]) -> list[TextRecogDataSample]:
        """Read a batch of N words.

        Args:
            data: ``inputs`` and ``data_samples``, each a list over the looks of lists of N.

        Returns:
            The N samples of the most confident looks; the earlier one where two are alike.
        """
        first, *others = (
            dict(zip(data, look, strict=True)) for look in zip(*data.values(), strict=True)
        )
        best = list(self.module.test_step(first))
        for look in others:
            unsure = [
                n
                for n, sample in enumerate(best)
                if word_confidence(sample) < self.sure
                and not torch.equal(look["inputs"][n], first["inputs"][n])
            ]
            if not unsure:
                continue
            again = {key: [value[n] for n in unsure] for key, value in look.items()}
            pairs = zip((best[n] for n in unsure), self.module.test_step(again), strict=True)
            for n, kept in zip(unsure, self.merge_preds(list(pairs)), strict=True):
                best[n] = kept
        return best

    def merge_preds(
        self, data_samples_list: Sequence[Sequence[TextRecogDataSample]]
    ) -> list[TextRecogDataSample]:
        """Keep the most confident look at each word.

        Args:
            data_samples_list: N words with the samples of some looks each.

        Returns:
            N samples; the earlier one where two are alike.
        """
        return [max(samples, key=word_confidence) for samples in data_samples_list]


def word_confidence(sample: TextRecogDataSample) -> float:
    """Probability of a whole word.

    Args:
        sample: A sample with ``pred_text``.

    Returns:
        Its ``word_score``, or, as recognisers of MMOCR itself have none, the product over the
        characters. 0 where it is not a number, and where there is nothing to go by: some of
        MMOCR's recognisers score characters alone, and an empty text has none.
    """
    scores = list(map(float, sample.pred_text.score))
    confidence = float(sample.pred_text.get("word_score", math.prod(scores) if scores else 0.0))
    return 0.0 if math.isnan(confidence) else confidence
