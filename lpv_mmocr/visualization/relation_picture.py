"""Picture of which characters attended to which in the GLRMs."""

from __future__ import annotations

import numpy as np
from mmengine.structures import LabelData
from PIL import Image, ImageDraw

from .canvas import INK, MARGIN, PALE, PAPER
from .glyphs import draw_text, visible
from .heat_maps import HeatScale

GRID = 330
LABELS = 34
HEAD = 66


def draw_relations(attention: LabelData) -> np.ndarray:
    """Draw how much each character attended to each other one, one square for each GLRM.

    Rows look, columns are looked at; both are labelled with what the stage before the GLRM reads.
    Rows are normalised over the characters shown.

    Args:
        attention: ``pred_attention`` of a data sample, see
            :attr:`lpv_mmocr.models.CPADecoder.keep_attention`.

    Returns:
        The picture, RGB uint8.

    Raises:
        ValueError: If the model has no GLRM.
    """
    if not len(attention.relations):
        raise ValueError("there are no relations to draw: the model has no GLRM")
    panels = [
        _panel(relations, attention.stage_texts[number], number + 1)
        for number, relations in enumerate(attention.relations)
    ]
    return np.concatenate(panels, axis=1)


def shown_relations(relations: np.ndarray, count: int) -> np.ndarray:
    """Relations between the characters that were read.

    Args:
        relations: Tensor (T, T) of one GLRM.
        count: Number n of characters.

    Returns:
        Float array (n, n), rows summing to 1, or to 0 where nothing was seen.
    """
    seen = relations[1 : count + 1, 1 : count + 1]
    total = seen.sum(1, keepdims=True)
    return np.divide(seen, total, out=np.zeros_like(seen), where=total > 0)


def _panel(relations: np.ndarray, text: str, stage: int) -> np.ndarray:
    canvas = Image.new(
        "RGB", (GRID + LABELS + 2 * MARGIN, GRID + HEAD + LABELS + MARGIN + 24), PAPER
    )
    pen = ImageDraw.Draw(canvas)
    draw_text(pen, (MARGIN, MARGIN + 14), f"GLRM {stage}, after stage {stage}", 16, INK, bold=True)
    if not text:
        draw_text(pen, (MARGIN, HEAD), "nothing read", 14, PALE)
        return np.asarray(canvas)
    draw_text(pen, (MARGIN, MARGIN + 33), "rows: who looks; columns: who is looked at", 12, PALE)
    weights = shown_relations(relations, len(text))
    scale = HeatScale(max(float(weights.max()), 1e-9))
    colours, shares = scale.colour(weights)
    edges = [round(i * GRID / len(text)) for i in range(len(text) + 1)]
    left, top = MARGIN + LABELS, HEAD + LABELS
    for row in range(len(text)):
        for column in range(len(text)):
            box = (
                left + edges[column],
                top + edges[row],
                left + edges[column + 1] - 2,
                top + edges[row + 1] - 2,
            )
            pen.rectangle(box, fill=tuple(colours[row, column].astype(int)))
            if len(text) <= 10:
                bright = shares[row, column] > 0.65
                at = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2 + 5
                draw_text(
                    pen,
                    at,
                    f"{100 * weights[row, column]:.0f}",
                    13,
                    "#000000" if bright else "#ffffff",
                    anchor="m",
                    width=box[2] - box[0],
                )
    for index, character in enumerate(map(visible, text)):
        middle = (edges[index] + edges[index + 1]) / 2
        room = max(edges[1] - 1, 12)
        draw_text(
            pen, (left + middle, top - 6), character, 18, INK, bold=True, anchor="m", width=room
        )
        draw_text(
            pen,
            (left - 18, top + middle + 6),
            character,
            18,
            INK,
            bold=True,
            anchor="m",
            width=LABELS,
        )
    draw_text(
        pen,
        (left, top + GRID + 18),
        f"percent of a row; brightest {100 * scale.top:.0f} %",
        12,
        PALE,
    )
    return np.asarray(canvas)
