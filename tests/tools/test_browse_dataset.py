"""Tests of ``tools/visualizations/browse_dataset.py``."""

from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config
from PIL import Image
from torch.utils.data import ConcatDataset


@pytest.fixture
def browse(load_tool, toy_config, toy_data, tmp_path, monkeypatch):
    monkeypatch.setenv("LPV_TOY_DATA", str(toy_data))
    tool = load_tool("visualizations/browse_dataset.py")

    def run(*arguments: str, config: Path = toy_config) -> Image.Image:
        sheet = tmp_path / "new" / "sheet.png"
        assert tool.main([str(config), "--out", str(sheet), *arguments]) == 0
        return Image.open(sheet).copy()  # read before the next call replaces the file

    return run


def test_sheet_shows_words_and_labels(browse, capsys):
    sheet = browse("--phase", "val")
    assert "7 of 7 words of val" in capsys.readouterr().out
    # Both the first image and the label below it have dark pixels on a bright background.
    first, label = sheet.crop((0, 0, 148, 46)), sheet.crop((0, 47, 148, 62))
    for part in (first, label):
        darkest, brightest = part.convert("L").getextrema()
        assert darkest < 80
        assert brightest > 200


def test_same_seed_same_sheet(browse):
    sheets = [browse("--count", "5", "--seed", seed).tobytes() for seed in ("1", "1", "2")]
    assert sheets[0] == sheets[1] != sheets[2]


def test_original_images_are_not_augmented(browse, toy_config, tmp_path):
    always = tmp_path / "always_augmented.py"
    always.write_text(
        f"_base_ = {str(toy_config)!r}\n"
        "pipeline = [\n"
        "    dict(type='LoadImageFromNDArray'),\n"
        "    dict(type='LoadOCRAnnotations', with_text=True),\n"
        "    dict(type='TextAugment', intact_prob=0.0, magnitude=2),\n"
        "    dict(type='PackTextRecogInputs', meta_keys=('img_path',)),\n"
        "]\n"
        "train_dataloader = dict(dataset=dict(pipeline=pipeline))\n"
    )
    augmented, original = browse(config=always), browse("--original", config=always)
    assert original.size == augmented.size
    assert original.tobytes() != augmented.tobytes()
    assert original.tobytes() == browse("--original").tobytes()


def test_training_words_follow_the_source_weights(load_tool):
    """Equal weights give half of each batch from either source, whatever its size."""
    tool = load_tool("visualizations/browse_dataset.py")
    cfg = Config(
        dict(
            train_dataloader=dict(
                batch_size=4,
                num_workers=2,
                persistent_workers=True,
                prefetch_factor=4,
                sampler=dict(type="ResumableInfiniteSampler"),
                batch_sampler=dict(type="SourceShareBatchSampler", weights=[1, 1]),
            )
        )
    )
    words = ConcatDataset([list(range(10)), list(range(100_000))])
    chosen = list(tool.choose(cfg, "train", words, 40, 3))
    assert sum(number < 10 for number in chosen) == 20
    assert chosen == list(tool.choose(cfg, "train", words, 40, 3))
    assert len(set(tool.choose(cfg, "val", words, 40, 3))) == 40


def test_a_stream_of_batches_is_refused(browse, toy_config, tmp_path, capsys):
    streamed = tmp_path / "streamed.py"
    streamed.write_text(
        f"_base_ = {str(toy_config)!r}\n"
        "train_dataloader = dict(dataset=dict(_delete_=True, type='StreamedWordDataset'))\n"
    )
    with pytest.raises(SystemExit, match="2"):
        browse(config=streamed)
    assert "error: train_dataloader has a StreamedWordDataset" in capsys.readouterr().err


def test_count_below_one_is_rejected(browse, capsys):
    with pytest.raises(SystemExit, match="2"):
        browse("--count", "0")
    assert "--count must be at least 1, got 0" in capsys.readouterr().err
