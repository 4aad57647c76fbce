"""Decoding of the cascade position attention decoder's output."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from mmengine.structures import LabelData
from mmocr.models.common import Dictionary
from mmocr.models.textrecog.postprocessors import BaseTextRecogPostprocessor
from mmocr.registry import MODELS
from mmocr.structures import TextRecogDataSample


@MODELS.register_module()
class CPAPostprocessor(BaseTextRecogPostprocessor):
    """Turns the probabilities of the last stage into text and confidences.

    Positions 1, 2, ... are read greedily up to the first end class; position 0 belongs to the
    start class. A start class read later on prints nothing but counts in the word's confidence.
    Where no end class comes, all T - 1 positions are read.

    Args:
        dictionary: Dictionary or its config; needs a start and an end class.
        max_seq_len: Number of characters of the longest word.

    Raises:
        ValueError: If the dictionary lacks a start or an end class.
    """

    def __init__(self, dictionary: dict | Dictionary, max_seq_len: int = 25) -> None:
        super().__init__(dictionary, max_seq_len=max_seq_len, ignore_chars=[])
        if self.dictionary.start_idx is None or self.dictionary.end_idx is None:
            raise ValueError(
                "CPAPostprocessor needs a dictionary with_start=True and with_end=True"
            )

    def get_single_prediction(
        self, probs: torch.Tensor, data_sample: TextRecogDataSample | None = None
    ) -> tuple[list[int], list[float]]:
        """Decode one word.

        Args:
            probs: Class probabilities of shape (T, C).
            data_sample: Not used.

        Returns:
            Class indexes of the printed characters, and their probabilities. For an empty text
            the probabilities are those of the end class, so that a mean over them is finite.
        """
        scores, indexes = probs.max(-1)
        characters, character_scores, _ = self._decode(indexes.tolist(), scores.tolist())
        return characters, character_scores

    def __call__(
        self, probs: torch.Tensor, data_samples: Sequence[TextRecogDataSample]
    ) -> Sequence[TextRecogDataSample]:
        """Decode a batch.

        Args:
            probs: Class probabilities of shape (N, T, C).
            data_samples: N samples to write to.

        Returns:
            The same samples, with ``pred_text.item`` (the text), ``pred_text.score`` (list of the
            characters' probabilities; of the end class for an empty text) and
            ``pred_text.word_score`` (product of the probabilities of all positions read, the end
            class included).
        """
        scores, indexes = probs.max(-1)
        # One transfer for the batch, not one per word.
        rows = zip(data_samples, indexes.tolist(), scores.tolist(), strict=True)
        for data_sample, word_indexes, word_scores in rows:
            characters, character_scores, word_score = self._decode(word_indexes, word_scores)
            data_sample.pred_text = LabelData(
                item=self.dictionary.idx2str(characters),
                score=character_scores,
                word_score=word_score,
            )
        return data_samples

    def _decode(
        self, indexes: list[int], scores: list[float]
    ) -> tuple[list[int], list[float], float]:
        """Characters, their scores and the word score from the T best classes of a word."""
        indexes, scores = indexes[1:], scores[1:]
        if self.dictionary.end_idx in indexes:
            read = indexes.index(self.dictionary.end_idx) + 1
            indexes, scores = indexes[:read], scores[:read]
        special = (self.dictionary.start_idx, self.dictionary.end_idx)
        printed = [
            (index, score)
            for index, score in zip(indexes, scores, strict=True)
            if index not in special
        ]
        character_scores = [score for _, score in printed] or scores[-1:]
        return [index for index, _ in printed], character_scores, math.prod(scores)
