"""The cascade as a strip: stage, GLRM, stage, GLRM, stage."""

from __future__ import annotations

import numpy as np
from mmengine.structures import LabelData
from PIL import Image, ImageDraw

from ..evaluation.alignment import align
from .canvas import INK, MARGIN, PALE, PAPER, checked_image, draw_reading
from .glyphs import draw_text
from .heat_maps import HeatScale, fitted_size, heat_over_word, letters_of, resized
from .relation_figure import paste_relations, relations_before_glrms

TILE = (270, 100)
SQUARE = 100
ARROW = 34
TOP, UNDER = 44, 58


def draw_cascade_strip(
    image: np.ndarray, attention: LabelData, *, gt_text: str | None = None
) -> np.ndarray:
    """Draw the cascade from left to right as a compact strip.

    The strip shows the word; for each stage, the sum of its attention maps over the characters
    that it reads, with its reading; and between stages, for each GLRM, the square of which
    character (row) attended to which (column). Maps share one colour scale, squares another.

    Args:
        image: Image of the word, RGB uint8 of shape (H, W, 3).
        attention: ``pred_attention`` of a data sample, see
            :attr:`lpv_mmocr.models.CPADecoder.keep_attention`.
        gt_text: Ground truth, if it is known; wrong characters are then framed, with the truth
            below them.

    Returns:
        The figure, RGB uint8.

    Raises:
        ValueError: If ``image`` is not RGB uint8 of shape (H, W, 3).
    """
    image = checked_image(image)
    texts = attention.stage_texts
    sums = [
        maps[1 : max(len(text), 1) + 1].sum(0)
        for maps, text in zip(attention.attn_maps, texts, strict=True)
    ]
    views, relation = relations_before_glrms(attention)
    heat = HeatScale.of(sums)
    size = fitted_size(image.shape[:2], TILE)
    letters = letters_of(image, size)
    cell = max(size[0], 120)
    steps = len(texts) * (cell + ARROW) + len(views) * (SQUARE + ARROW)
    canvas = Image.new("RGB", (2 * MARGIN + cell + steps, TOP + TILE[1] + UNDER + MARGIN), PAPER)
    pen = ImageDraw.Draw(canvas)

    def paste(x: int, panel: np.ndarray, title: str) -> None:
        place = x + (cell - size[0]) // 2, TOP + (TILE[1] - size[1]) // 2
        canvas.paste(Image.fromarray(panel), place)
        draw_text(pen, (x + cell / 2, TOP - 14), title, 16, INK, bold=True, anchor="m")

    x = MARGIN
    paste(x, resized(image, size), "word")
    x += cell
    for stage, (total, text) in enumerate(zip(sums, texts, strict=True)):
        _draw_arrow(pen, x)
        x += ARROW
        paste(x, heat_over_word(letters, total, heat), f"stage {stage + 1}")
        draw_reading(pen, align(text, gt_text), (x, TOP + TILE[1] + 8), cell)
        x += cell
        if stage < len(views):
            _draw_arrow(pen, x)
            x += ARROW
            paste_relations(canvas, pen, views[stage], (x, TOP), SQUARE, relation)
            _label_square(pen, x, f"GLRM {stage + 1}", is_empty=not text)
            x += SQUARE
    return np.asarray(canvas)


def _label_square(pen: ImageDraw.ImageDraw, x: int, title: str, *, is_empty: bool) -> None:
    """Draw what surrounds the square that begins at x, and a note in one without characters."""
    middle = x + SQUARE / 2
    draw_text(pen, (middle, TOP - 14), title, 16, INK, bold=True, anchor="m")
    if is_empty:
        place = middle, TOP + SQUARE / 2 + 4
        draw_text(pen, place, "nothing read", 12, PALE, anchor="m")
    for line, note in enumerate(("row attends", "to column")):
        place = middle, TOP + TILE[1] + 18 + 15 * line
        draw_text(pen, place, note, 12, PALE, anchor="m")


def _draw_arrow(pen: ImageDraw.ImageDraw, x: int) -> None:
    """Draw an arrow in the gap that begins at x."""
    y, tip = TOP + TILE[1] // 2, x + ARROW - 8
    pen.line((x + 8, y, tip - 6, y), fill=PALE, width=2)
    pen.polygon(((tip, y), (tip - 8, y - 5), (tip - 8, y + 5)), fill=PALE)
