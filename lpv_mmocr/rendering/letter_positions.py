"""Letter positions in rendered words: the ground truth for character boxes."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from PIL import ImageFont

from .geometry import Warp
from .text_layer import letter_starts


@dataclass(frozen=True, eq=False)
class LetterPositions:
    """Layout and geometry of a rendered word; boxes are computed only on request.

    Attributes:
        font: Typeface at the pixel size of the canvas.
        text: The word.
        spacing: Extra pixels between letters on the canvas.
        lifts: Pixels by which each letter is off the baseline, or None.
        corner: Left and top of the word's ink on the canvas.
        warp: Mapping from the canvas to the scene.
        size: Height and width of the image before any quarter turn.
        turn: OpenCV's rotation code of the quarter turn, or None.
    """

    font: ImageFont.FreeTypeFont
    text: str
    spacing: float
    lifts: np.ndarray | None
    corner: tuple[int, int]
    warp: Warp
    size: tuple[int, int]
    turn: int | None

    def boxes(self) -> np.ndarray:
        """Return boxes around the ink of the letters.

        Returns:
            float32 (n, 4), x1, y1, x2, y2 in pixels of the finished image, clipped to it. A
            letter that leaves no ink or was cut off has a box without area.
        """
        outlines = self._outlines()
        inked = [outline for outline in outlines if len(outline)]
        if inked:  # the canvas was cropped to the ink, and then padded
            shift = np.array(self.corner) - np.concatenate(inked).min(axis=0)
        height, width = self.size
        scale = np.array([width, height]) / self.warp.size[::-1]
        boxes = np.zeros((len(outlines), 4), np.float32)
        for box, outline in zip(boxes, outlines, strict=True):
            if not len(outline):
                continue
            points = np.clip(self.warp.map_points(outline + shift) * scale, 0, (width, height))
            if self.turn == cv2.ROTATE_90_CLOCKWISE:
                points = np.stack([height - points[:, 1], points[:, 0]], axis=1)
            elif self.turn == cv2.ROTATE_90_COUNTERCLOCKWISE:
                points = np.stack([points[:, 1], width - points[:, 0]], axis=1)
            box[:] = *points.min(axis=0), *points.max(axis=0)
        return boxes

    def _outlines(self) -> list[np.ndarray]:
        """Return the hull of each letter's ink, float64 (m, 2), relative to the pen's start."""
        starts = letter_starts(self.font, self.text, self.spacing, self.lifts)
        outlines = []
        for letter, start in zip(self.text, starts, strict=True):
            mask, offset = self.font.getmask2(letter, mode="L", anchor="ls")
            rows, columns = np.nonzero(np.asarray(mask, np.uint8).reshape(mask.size[::-1]))
            if not len(rows):
                outlines.append(np.zeros((0, 2)))
                continue
            pixels = np.stack([columns, rows], axis=1).astype(np.int32)
            # The corners of the outermost pixels.
            corners = np.concatenate([pixels + shift for shift in ((0, 0), (0, 1), (1, 0), (1, 1))])
            outlines.append(cv2.convexHull(corners)[:, 0] + np.add(offset, start, dtype=np.float64))
        return outlines
