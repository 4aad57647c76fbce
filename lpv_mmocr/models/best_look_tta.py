"""Test-time augmentation for words whose first reading has low confidence."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from mmengine.model import BaseTTAModel
from mmocr.registry import MODELS
from mmocr.structures import TextRecogDataSample
from torch import nn

SURE = 0.8
"""Confidence from which a reading is accepted without further views; see docs/reading.md."""


@MODELS.register_module()
class BestLookTTAModel(BaseTTAModel):
    """Test-time augmentation that reads low-confidence words again in other views.

    The views ("looks") are tried one after another, each only on words that no earlier view read
    confidently and that the view changes; the most confident reading of each word is kept.
    MMOCR's ``EncoderDecoderRecognizerTTAModel`` runs all views on all words and ranks them by the
    mean score of the characters, in which a single guessed character of a long word hardly shows.

    Args:
        module: Recogniser or its config.
        data_preprocessor: Data preprocessor, for a recogniser without its own.
        sure: Confidence from which no further view is tried; above 1, every view is tried on every
            word that it changes.
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
            data: ``inputs`` and ``data_samples``, each a list with one list of N items per view.

        Returns:
            The N samples of the most confident views; on ties, of the earlier view.
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
        """Keep the most confident view of each word.

        Args:
            data_samples_list: For each of N words, the samples of some views.

        Returns:
            N samples; on ties, the earlier one.
        """
        return [max(samples, key=word_confidence) for samples in data_samples_list]


def word_confidence(sample: TextRecogDataSample) -> float:
    """Return the probability of a complete word.

    Args:
        sample: Sample with ``pred_text``.

    Returns:
        Its ``word_score``, or, for MMOCR's own recognisers, which have none, the product of the
        character scores. 0 if the result is NaN or there is no score: some of MMOCR's recognisers
        score only characters, of which an empty text has none.
    """
    scores = list(map(float, sample.pred_text.score))
    confidence = float(sample.pred_text.get("word_score", math.prod(scores) if scores else 0.0))
    return 0.0 if math.isnan(confidence) else confidence
