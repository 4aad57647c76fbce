"""Figure of the attention of every stage of the cascade for every character."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from mmengine.structures import LabelData
from PIL import Image, ImageDraw

from ..evaluation import TextProtocol
from ..evaluation.alignment import CharacterMatch, align
from .canvas import INK, MARGIN, PALE, PAPER, WRONG, checked_image, draw_reading, draw_scales, frame
from .glyphs import Piece, draw_pieces, draw_text, visible
from .heat_maps import HeatScale, fitted_size, heat_over_word, letters_of, resized

LEFT, RIGHT = 330, 1150
"""Widths of the column of sums and of the space for characters, in pixels."""
SUM_HEIGHT, WORD_HEIGHT = 110, 120
CAPTION_HEIGHT, READING_HEIGHT = 24, 46
CAPTION_WIDTH, WRONG_CAPTION_WIDTH = 58, 100
MAX_ROWS, MAX_HEIGHT = 5, 260
"""Maximum number of rows of maps in a stage, and maximum of their total height in pixels."""
TILE = 240, 110
"""Maximum width and height of a map."""
GAP = 10
TITLE_HEIGHT = 26
HEAD_WIDTH = 470
"""Room for the colour scales, which are 450 pixels wide."""


def draw_attention(
    image: np.ndarray,
    attention: LabelData,
    *,
    gt_text: str | None = None,
    protocol: TextProtocol | None = None,
) -> np.ndarray:
    """Draw the attention of each stage for each character.

    The word is at the top. The stages follow below, each with the sum of its attention maps over
    the characters that it reads, its reading under the sum, and one map for each character, with
    the character and its probability. All maps of characters share one colour scale, and all sums
    share another; both are drawn next to the word. With a ground truth, wrong characters have a
    thick red frame, a cross, and the truth next to them.

    Args:
        image: Image of the word, RGB uint8 of shape (H, W, 3); the original or as the model saw
            it.
        attention: ``pred_attention`` of a data sample, see
            :attr:`lpv_mmocr.models.CPADecoder.keep_attention`.
        gt_text: Ground truth, if it is known.
        protocol: Protocol that determines which differences are wrong. If None, all are except
            differences in case, and missed or superfluous punctuation, symbols and spaces.

    Returns:
        The figure, RGB uint8.

    Raises:
        ValueError: If ``image`` is not RGB uint8 of shape (H, W, 3).
    """
    image = checked_image(image)
    numbers = range(len(attention.attn_maps))
    stages = [_Stage.of(attention, number, gt_text, protocol) for number in numbers]
    scales = _Scales(
        characters=HeatScale.of([weights for stage in stages for weights in stage.maps]),
        sums=HeatScale.of([stage.total for stage in stages]),
    )
    layout = _Layout.of(
        image.shape[:2], max(len(stage.maps) for stage in stages), gt_text is not None
    )
    letters = _Letters(
        total=letters_of(image, fitted_size(image.shape[:2], (LEFT, SUM_HEIGHT))),
        tile=letters_of(image, layout.tile),
    )
    head = MARGIN + WORD_HEIGHT + GAP
    height = head + len(stages) * (layout.block_height + GAP) + MARGIN
    width = MARGIN + LEFT + 2 * GAP + layout.columns * layout.cell[0] + MARGIN
    canvas = Image.new("RGB", (max(width, MARGIN + LEFT + 2 * GAP + HEAD_WIDTH), height), PAPER)
    pen = ImageDraw.Draw(canvas)
    _draw_head(canvas, pen, image, stages[-1], gt_text, scales)
    for number, stage in enumerate(stages):
        _draw_stage(
            canvas, pen, letters, stage, head + number * (layout.block_height + GAP), layout, scales
        )
    return np.asarray(canvas)


class _Scales(NamedTuple):
    """Colour scales of the maps of characters and, as these add up, of their sums."""

    characters: HeatScale
    sums: HeatScale


class _Letters(NamedTuple):
    """The word under the maps, at the size of the sums and at that of the maps of characters."""

    total: np.ndarray
    tile: np.ndarray


@dataclass(frozen=True)
class _Stage:
    """One stage of the cascade.

    Attributes:
        number: Number of the stage, from 1.
        maps: Attention maps of the characters read, (n, h, w); for an empty text, of the end
            class, (1, h, w).
        scores: Probability of each of them.
        total: Sum of the maps, (h, w).
        matches: Reading aligned with the truth.
        marks: The match of each map; None for the end class.
    """

    number: int
    maps: np.ndarray
    scores: list[float]
    total: np.ndarray
    matches: list[CharacterMatch]
    marks: list[CharacterMatch | None]

    @classmethod
    def of(
        cls,
        attention: LabelData,
        index: int,
        gt_text: str | None,
        protocol: TextProtocol | None,
    ) -> _Stage:
        text = attention.stage_texts[index]
        maps = attention.attn_maps[index][1 : max(len(text), 1) + 1]
        matches = align(text, gt_text, protocol)
        marks = [match for match in matches if match.read is not None]
        return cls(
            number=index + 1,
            maps=maps,
            scores=attention.stage_scores[index],
            total=maps.sum(0),
            matches=matches,
            marks=marks or [None],
        )


@dataclass(frozen=True)
class _Layout:
    """Layout of the maps of characters.

    Attributes:
        columns: Number of maps in a row.
        rows: Number of rows of maps in each stage.
        tile: Width and height of a map.
        cell: Width and height of a map with its caption and the space around it.
        block_height: Height of a stage.
    """

    columns: int
    rows: int
    tile: tuple[int, int]
    cell: tuple[int, int]
    block_height: int

    @classmethod
    def of(cls, image_size: tuple[int, int], count: int, with_truth: bool) -> _Layout:
        """Choose the layout with the largest maps."""
        narrowest = WRONG_CAPTION_WIDTH if with_truth else CAPTION_WIDTH
        left = fitted_size(image_size, (LEFT, SUM_HEIGHT))[1] + READING_HEIGHT
        best = None
        for rows in range(1, MAX_ROWS + 1):
            columns = -(-count // rows)
            if columns * (narrowest + GAP) > RIGHT and rows < MAX_ROWS:
                continue  # captions would not be legible
            height = MAX_HEIGHT / rows - CAPTION_HEIGHT - GAP // 2
            box = min(RIGHT / columns - GAP, TILE[0]), min(height, TILE[1])
            tile = fitted_size(image_size, box)
            if best is None or tile[0] * tile[1] > 1.1 * best.tile[0] * best.tile[1]:
                cell = max(tile[0], narrowest) + GAP, tile[1] + CAPTION_HEIGHT + GAP // 2
                block = TITLE_HEIGHT + max(left, rows * cell[1])
                best = cls(columns, rows, tile, cell, block)
        return best


def _draw_head(
    canvas: Image.Image,
    pen: ImageDraw.ImageDraw,
    image: np.ndarray,
    last: _Stage,
    gt_text: str | None,
    scales: _Scales,
) -> None:
    size = fitted_size(image.shape[:2], (LEFT, WORD_HEIGHT))
    canvas.paste(Image.fromarray(resized(image, size)), (MARGIN, MARGIN))
    x, width = MARGIN + LEFT + 2 * GAP, canvas.width - 2 * MARGIN - LEFT - 2 * GAP
    reading = "".join(visible(match.read) for match in last.matches if match.read is not None)
    wrong = any(match.wrong for match in last.matches)
    y = MARGIN + 24
    taken = draw_text(pen, (x, y), "read ", 18, PALE)
    known = gt_text is not None
    line = (reading or "nothing") + ("  ✗ wrong" if wrong else "  ✓ right" if known else "")
    draw_text(
        pen, (x + taken, y), line, 24, WRONG if wrong else INK, bold=True, width=width - taken
    )
    if known:
        taken = draw_text(pen, (x, y + 32), "truth ", 18, PALE)
        truth = "".join(map(visible, gt_text)) or "nothing"
        draw_text(pen, (x + taken, y + 32), truth, 24, INK, bold=True, width=width - taken)
    named = {"one character, in all stages": scales.characters, "sum of a stage": scales.sums}
    draw_scales(canvas, pen, (x, MARGIN + WORD_HEIGHT - 50), named)


def _draw_stage(
    canvas: Image.Image,
    pen: ImageDraw.ImageDraw,
    letters: _Letters,
    stage: _Stage,
    top: int,
    layout: _Layout,
    scales: _Scales,
) -> None:
    pen.line((MARGIN, top + 2, canvas.width - MARGIN, top + 2), fill="#c8c8c8")
    draw_text(pen, (MARGIN, top + 21), f"Stage {stage.number}", 16, INK, bold=True)
    title = "end of the word" if stage.marks == [None] else "sum of the characters"
    draw_text(pen, (MARGIN + LEFT, top + 21), title, 13, PALE, anchor="r")
    top += TITLE_HEIGHT
    heat = heat_over_word(letters.total, stage.total, scales.sums)
    height, width, _ = heat.shape
    canvas.paste(Image.fromarray(heat), (MARGIN + (LEFT - width) // 2, top))
    draw_reading(pen, stage.matches, (MARGIN, top + height + 4), LEFT)
    for index, weights in enumerate(stage.maps):
        row, column = divmod(index, layout.columns)
        cell_left = MARGIN + LEFT + 2 * GAP + column * layout.cell[0]
        left = cell_left + (layout.cell[0] - GAP - layout.tile[0]) // 2
        upper = top + row * layout.cell[1]
        heat = heat_over_word(letters.tile, weights, scales.characters)
        canvas.paste(Image.fromarray(heat), (left, upper))
        mark, score = stage.marks[index], stage.scores[index]
        wrong = mark is not None and mark.wrong
        if wrong:
            frame(pen, (left, upper, *layout.tile), WRONG, 3)
        _draw_caption(
            pen,
            mark,
            score,
            (cell_left + (layout.cell[0] - GAP) / 2, upper + layout.tile[1] + 18),
            layout.cell[0] - 2,
        )


def _draw_caption(
    pen: ImageDraw.ImageDraw,
    mark: CharacterMatch | None,
    score: float,
    place: tuple[float, float],
    width: float,
) -> None:
    """Draw character and probability, centred; for an error also a cross and the truth."""
    character = "end" if mark is None else visible(mark.read)
    number = f"{100 * score:.0f}%"
    if mark is None or not mark.wrong:
        pieces = [Piece(character, 18, INK, True), Piece(f" {number}", 12, PALE)]
    else:
        truth = "extra" if mark.truth is None else f"not {visible(mark.truth)}"
        pieces = [
            Piece("✗", 15, WRONG, True),
            Piece(character, 18, WRONG, True),
            Piece(f" {number} ", 12, PALE),
            Piece(truth, 13, WRONG, True),
        ]
    draw_pieces(pen, pieces, place, width)
