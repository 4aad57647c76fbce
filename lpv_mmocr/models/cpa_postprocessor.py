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

from .character_dictionary import require_start_and_end, silent_classes


@MODELS.register_module()
class CPAPostprocessor(BaseTextRecogPostprocessor):
    """Postprocessor that turns the probabilities of the last stage into text and confidences.

    Positions 1, 2, ... are decoded greedily up to the first end class; position 0 belongs to the
    start class. A start or padding class at a later position prints nothing but counts in the
    word's confidence. Without an end class, all T - 1 positions are decoded.

    Args:
        dictionary: Dictionary or its config, with a start and an end class.
        max_seq_len: Not used; MMOCR's decoders pass it. All positions that they have are read.

    Raises:
        ValueError: If the dictionary lacks a start or an end class, or has one class for both.
    """

    def __init__(self, dictionary: dict | Dictionary, max_seq_len: int = 25) -> None:
        super().__init__(dictionary, max_seq_len=max_seq_len, ignore_chars=[])
        require_start_and_end(self.dictionary, "CPAPostprocessor")
        self._special = {*silent_classes(self.dictionary), self.dictionary.end_idx}

    def get_single_prediction(
        self, probs: torch.Tensor, data_sample: TextRecogDataSample | None = None
    ) -> tuple[list[int], list[float]]:
        """Decode one word.

        Args:
            probs: Class probabilities of shape (T, C).
            data_sample: Not used.

        Returns:
            Class indexes of the printed characters, and their probabilities. An empty text has
            one probability, so that the mean is finite: that of the end class at the position
            where it was read, or at the last position if it was not read.
        """
        scores, indexes = probs.max(-1)
        last_end = probs[-1, self.dictionary.end_idx].item()
        characters, character_scores, _ = self._decode(indexes.tolist(), scores.tolist(), last_end)
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
            characters' probabilities; that of the end class for an empty text) and
            ``pred_text.word_score`` (product of the probabilities of all positions read, the end
            class included).
        """
        scores, indexes = probs.max(-1)
        last_ends = probs[:, -1, self.dictionary.end_idx]
        # One transfer per tensor, not per word.
        columns = (column.tolist() for column in (indexes, scores, last_ends))
        for data_sample, *word in zip(data_samples, *columns, strict=True):
            characters, character_scores, word_score = self._decode(*word)
            data_sample.pred_text = LabelData(
                item=self.dictionary.idx2str(characters),
                score=character_scores,
                word_score=word_score,
            )
        return data_samples

    def _decode(
        self, indexes: list[int], scores: list[float], last_end: float
    ) -> tuple[list[int], list[float], float]:
        """Return characters, their scores and the word score, given the T best classes of a word.

        Args:
            indexes: Most probable class of each position.
            scores: Probability of that class.
            last_end: Probability of the end class at the last position.
        """
        indexes, scores = indexes[1:], scores[1:]
        end_score = last_end
        if self.dictionary.end_idx in indexes:
            read = indexes.index(self.dictionary.end_idx) + 1
            indexes, scores = indexes[:read], scores[:read]
            end_score = scores[-1]
        printed = [
            (index, score)
            for index, score in zip(indexes, scores, strict=True)
            if index not in self._special
        ]
        character_scores = [score for _, score in printed] or [end_score]
        return [index for index, _ in printed], character_scores, math.prod(scores)
