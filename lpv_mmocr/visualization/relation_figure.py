"""Figure of which characters attended to which in the GLRMs."""

from __future__ import annotations

import numpy as np
from mmengine.structures import LabelData
from PIL import Image, ImageDraw

from .canvas import INK, MARGIN, PALE, PAPER
from .glyphs import draw_text, visible
from .heat_maps import HeatScale

SQUARE = 380
LABELS = 30
HEAD = 62
FOOT = 30
MAX_NUMBERS = 12
"""Maximum number of characters with room for numbers in the cells."""


def draw_relations(attention: LabelData) -> np.ndarray:
    """Draw how much each character attended to every other one, in one square per GLRM.

    The character of a row attends to that of a column; both are labelled with what the stage
    before the GLRM reads. Numbers are percentages of a row, normalised over the characters shown.
    All squares share one colour scale.

    Args:
        attention: ``pred_attention`` of a data sample, see
            :attr:`lpv_mmocr.models.CPADecoder.keep_attention`.

    Returns:
        The figure, RGB uint8.

    Raises:
        ValueError: If the model has no GLRM.
    """
    if not len(attention.relations):
        raise ValueError("there are no relations to draw: the model has no GLRM")
    texts = attention.stage_texts[: len(attention.relations)]
    views, scale = relations_before_glrms(attention)
    panel = LABELS + SQUARE + 2 * MARGIN
    canvas = Image.new("RGB", (len(views) * panel, HEAD + LABELS + SQUARE + FOOT + MARGIN), PAPER)
    pen = ImageDraw.Draw(canvas)
    for number, (view, text) in enumerate(zip(views, texts, strict=True)):
        left = number * panel + MARGIN
        title = f"GLRM {number + 1}, between stages {number + 1} and {number + 2}"
        draw_text(pen, (left, MARGIN + 14), title, 17, INK, bold=True)
        if not text:
            draw_text(pen, (left, HEAD + 14), "nothing read before it", 14, PALE)
            continue
        draw_text(pen, (left, MARGIN + 36), "a row's character attends to …", 13, PALE)
        _draw_square(canvas, pen, view, text, (left + LABELS, HEAD + LABELS), scale)
    return np.asarray(canvas)


def relations_before_glrms(attention: LabelData) -> tuple[list[np.ndarray], HeatScale]:
    """Return the relations of the characters read before each GLRM, and their colour scale.

    Args:
        attention: ``pred_attention`` of a data sample.
    """
    pairs = zip(attention.relations, attention.stage_texts, strict=False)  # one stage more
    views = [shown_relations(relations, len(text)) for relations, text in pairs]
    return views, HeatScale(max((float(view.max()) for view in views if view.size), default=1.0))


def shown_relations(relations: np.ndarray, count: int) -> np.ndarray:
    """Return the relations between the characters that were read.

    Args:
        relations: Array (T, T) of one GLRM.
        count: Number n of characters.

    Returns:
        Float array (n, n), with rows summing to 1, or to 0 where there was no attention.
    """
    seen = relations[1 : count + 1, 1 : count + 1]
    total = seen.sum(1, keepdims=True)
    return np.divide(seen, total, out=np.zeros_like(seen), where=total > 0)


def paste_relations(
    canvas: Image.Image,
    pen: ImageDraw.ImageDraw,
    relations: np.ndarray,
    place: tuple[int, int],
    side: int,
    scale: HeatScale,
) -> None:
    """Draw a square of coloured cells.

    Args:
        canvas: Image to draw on.
        pen: Drawing context.
        relations: Array (n, n).
        place: Left and top, in pixels.
        side: Width and height, in pixels.
        scale: Colour scale.
    """
    if not relations.size:
        return
    colours = scale.colour(relations)[0].round().astype(np.uint8)
    square = Image.fromarray(colours).resize((side, side), Image.Resampling.NEAREST)
    canvas.paste(square, place)
    for edge in _edges(len(relations), side)[1:-1]:
        pen.line((place[0] + edge, place[1], place[0] + edge, place[1] + side - 1), fill=PAPER)
        pen.line((place[0], place[1] + edge, place[0] + side - 1, place[1] + edge), fill=PAPER)


def _edges(count: int, side: int) -> list[int]:
    return [round(index * side / count) for index in range(count + 1)]


def _draw_square(
    canvas: Image.Image,
    pen: ImageDraw.ImageDraw,
    relations: np.ndarray,
    text: str,
    place: tuple[int, int],
    scale: HeatScale,
) -> None:
    """Draw one GLRM's square with its labels and, if there is room, numbers."""
    left, top = place
    paste_relations(canvas, pen, relations, place, SQUARE, scale)
    cell = SQUARE / len(text)
    for index, character in enumerate(map(visible, text)):
        middle = (index + 0.5) * cell
        room = max(cell - 1, 10)
        draw_text(
            pen, (left + middle, top - 7), character, 18, INK, bold=True, anchor="m", width=room
        )
        at = left - LABELS / 2, top + middle + 6
        draw_text(pen, at, character, 18, INK, bold=True, anchor="m", width=LABELS - 4)
    if len(text) <= MAX_NUMBERS:
        shares = scale.colour(relations)[1]
        for (row, column), weight in np.ndenumerate(relations):
            at = left + (column + 0.5) * cell, top + (row + 0.5) * cell + 5
            colour = "#000000" if shares[row, column] > 0.6 else "#ffffff"
            draw_text(pen, at, f"{100 * weight:.0f}", 14, colour, anchor="m", width=cell - 3)
    note = f"percent of the row; brightest colour {100 * scale.top:.0f} %, black 0 %"
    draw_text(pen, (left, top + SQUARE + 20), note, 13, PALE, width=SQUARE)
