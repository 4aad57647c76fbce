"""``tools/visualizations/browse_dataset.py``."""

from __future__ import annotations

import pytest
from PIL import Image


@pytest.fixture
def browse(load_tool, toy_config, toy_data, tmp_path, monkeypatch):
    monkeypatch.setenv("LPV_TOY_DATA", str(toy_data))
    tool = load_tool("visualizations/browse_dataset.py")

    def run(*arguments: str) -> Image.Image:
        sheet = tmp_path / "new" / "sheet.png"
        assert tool.main([str(toy_config), "--out", str(sheet), *arguments]) == 0
        return Image.open(sheet)

    return run


def test_sheet_shows_words_and_labels(browse, capsys):
    sheet = browse("--phase", "val")
    assert "7 of 7 words of val" in capsys.readouterr().out
    # Dark pixels of digits in the first picture, and of its label below it.
    first, label = sheet.crop((0, 0, 148, 46)), sheet.crop((0, 47, 148, 62))
    for part in (first, label):
        darkest, brightest = part.convert("L").getextrema()
        assert darkest < 80
        assert brightest > 200


def test_same_seed_same_sheet(browse):
    sheets = [browse("--count", "5", "--seed", seed).tobytes() for seed in ("1", "1", "2")]
    assert sheets[0] == sheets[1] != sheets[2]


def test_original_pictures(browse):
    assert browse("--original", "--count", "3").size == browse("--count", "3").size


def test_bad_count(browse, capsys):
    with pytest.raises(SystemExit, match="2"):
        browse("--count", "0")
    assert "--count must be at least 1, got 0" in capsys.readouterr().err
