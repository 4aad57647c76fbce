"""Records of the cascade's attention, kept for visualisation."""

from __future__ import annotations

from collections.abc import Container, Sequence

import numpy as np
import torch
from mmengine.structures import LabelData
from mmocr.models.common import Dictionary
from mmocr.models.textrecog.postprocessors import BaseTextRecogPostprocessor

from .character_dictionary import silent_classes
from .glrm import GLRM


def character_relations(
    glrm: GLRM,
    features: torch.Tensor,
    forbidden: torch.Tensor | None,
    attn_maps: torch.Tensor,
) -> torch.Tensor:
    """Return how much the characters attended to one another in a GLRM.

    With A^l the attention matrix of the GLRM's layer l, averaged over heads, L the number of
    layers, and P (T, h*w) the position-attention maps of the stage before the GLRM, whose rows sum
    to 1::

        R = P (1/L sum_l A^l) P^T,    then every row of R divided by its sum.

    Row i of ``P A`` is what character i attended to, token by token, with each of its tokens
    weighted by the position attention; ``R[i, j]`` compares the average weight that it gave to the
    tokens of character j with the weights that it gave to those of the other characters. Layers
    are averaged without the residual connections: the matrix shows which characters attended to
    which, not how much of a token was replaced.

    Args:
        glrm: GLRM module.
        features: Input feature map of the GLRM, shape (N, D, h, w).
        forbidden: Mask of the GLRM, shape (N, h*w, h*w), or None.
        attn_maps: Attention maps P of the stage before the GLRM, shape (N, T, h, w).

    Returns:
        Tensor of shape (N, T, T), float32, non-negative, rows summing to 1. A character whose
        tokens have every key masked has a row of zeros.
    """
    maps = attn_maps.flatten(2).float()
    relations = maps.new_zeros(maps.shape[0], maps.shape[1], maps.shape[1])
    for weights in glrm.attention_weights(features, forbidden):
        relations += maps @ weights.float() @ maps.transpose(1, 2)
    total = relations.sum(-1, keepdim=True)
    return torch.where(total > 0, relations / total, 0.0)


def attention_records(
    probs: Sequence[torch.Tensor],
    attn_maps: Sequence[torch.Tensor],
    relations: Sequence[torch.Tensor],
    postprocessor: BaseTextRecogPostprocessor,
) -> list[LabelData]:
    """Pack the attention of a batch into one record per word.

    Args:
        probs: Class probabilities of the S stages, each (N, T, C).
        attn_maps: Attention maps of the S stages, each (N, T, h, w).
        relations: Result of :func:`character_relations` for each GLRM, shape (N, T, T).
        postprocessor: Postprocessor that decodes the probabilities of every stage.

    Returns:
        N records as described in :attr:`CPADecoder.keep_attention`.
    """
    maps = torch.stack(list(attn_maps), 1).float().cpu().numpy()
    views = [view.cpu().numpy() for view in relations]
    positions = maps.shape[2]
    stages = torch.stack([stage.float() for stage in probs], 1).cpu()
    dictionary = postprocessor.dictionary
    silent = silent_classes(dictionary)
    records = []
    for word in range(len(maps)):
        read = [postprocessor.get_single_prediction(stage) for stage in stages[word]]
        orders = [
            _reading_order(stage.max(-1).indices.tolist(), printed, silent)
            for stage, (printed, _) in zip(stages[word], read, strict=True)
        ]
        records.append(
            LabelData(
                attn_maps=np.stack(
                    [stage[order] for stage, order in zip(maps[word], orders, strict=True)]
                ),
                stage_texts=[
                    "".join(_letter(dictionary, index) for index in printed) for printed, _ in read
                ],
                stage_scores=[[float(score) for score in scores] for _, scores in read],
                # The stage before a GLRM determines which characters the rows belong to.
                relations=np.array(
                    [
                        view[word][np.ix_(order, order)]
                        for view, order in zip(views, orders, strict=False)
                    ],
                    np.float32,
                ).reshape(-1, positions, positions),
            )
        )
    return records


def _reading_order(best: list[int], printed: list[int], silent: Container[int]) -> list[int]:
    """Return the positions in an order that puts those of the characters read next to each other.

    A start or padding class between characters prints nothing; its position moves to the end.

    Args:
        best: Most probable class of each of the T positions.
        printed: Classes of the characters read, in order.
        silent: Indexes of the classes that print nothing.

    Returns:
        All T positions: 0, then those of the characters, then the rest.

    Raises:
        ValueError: If the characters are not the best classes of positions after the first.
    """
    order = [0]
    for index in printed:
        try:
            order.append(best.index(index, order[-1] + 1))
        except ValueError:
            raise ValueError(
                "The attention can be kept only with a postprocessor that prints the best classes "
                "of the positions after the first, in order, as CPAPostprocessor does"
            ) from None
    others = sorted(
        set(range(len(best))) - set(order), key=lambda place: (best[place] in silent, place)
    )
    return order + others


def _letter(dictionary: Dictionary, index: int) -> str:
    """Return the text of a class, always one character so that it has one attention map."""
    text = dictionary.idx2str([index])
    return text if len(text) == 1 else "\N{REPLACEMENT CHARACTER}"
