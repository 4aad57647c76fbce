from __future__ import annotations

from lpv_mmocr.rendering.contact_sheet import CELL, COLUMNS, IMAGE_BOX, save_sheet

import numpy as np
import pytest
from PIL import Image


def sheet_of(path, captions):
    grey = np.full((46, 148, 3), 128, np.uint8)
    save_sheet([(grey, caption, None) for caption in captions], len(captions), path)
    return np.asarray(Image.open(path).convert("L"))


@pytest.mark.parametrize(("count", "cells"), [(1, (1, 1)), (3, (1, 3)), (11, (2, COLUMNS))])
def test_sheet_size_follows_the_number_of_images(tmp_path, count, cells):
    sheet = sheet_of(tmp_path / "sheet.png", ["x"] * count)
    assert sheet.shape == (cells[0] * CELL[1], cells[1] * CELL[0])


@pytest.mark.parametrize("caption", ["W" * 60, "a\nb\nc", "W" * 19 + "\n" + "W" * 19])
def test_caption_stays_in_its_cell(tmp_path, caption):
    sheet = sheet_of(tmp_path / "sheet.png", [caption, ""])
    assert sheet[IMAGE_BOX[1] :, : CELL[0]].min() < 100, "there is one"
    assert sheet[:, CELL[0] + IMAGE_BOX[0] :].min() == 255
    assert sheet[IMAGE_BOX[1] :, CELL[0] :].min() == 255
