"""What a test leaves behind. With a real runner: tests/tools/test_test.py."""

from __future__ import annotations

import json
from types import SimpleNamespace

from lpv_mmocr.engine.prediction_hooks import (
    PredictionWriterHook,
    RecogVisualizationHook,
    sample_name,
)

import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.structures import LabelData
from mmocr.structures import TextRecogDataSample


def sample(text: str, scores, **meta) -> TextRecogDataSample:
    made = TextRecogDataSample(metainfo=meta)
    made.pred_text = LabelData(item=text, score=scores)
    return made


@pytest.mark.parametrize(
    ("meta", "name"),
    [
        (dict(sample_key="a:1", img_path="p"), "a:1"),
        (dict(img_path="p/x.png"), "p/x.png"),
        ({}, ""),
    ],
)
def test_sample_name(meta, name):
    assert sample_name(sample("x", [1.0], **meta)) == name


def test_predictions_of_any_model(tmp_path):
    """Scores as list or tensor, with or without a label and a word score; non-ASCII text."""
    labelled = sample("né", torch.tensor([0.5, 0.25]), img_path="a.png")
    labelled.gt_text = LabelData(item="ne")
    scored = sample("", [0.75], img_path="b.png")
    scored.pred_text.word_score = 0.75
    runner = SimpleNamespace(
        test_dataloader=SimpleNamespace(dataset=[0, 1]), logger=MMLogger("test_predictions")
    )
    hook = PredictionWriterHook(out_file=str(tmp_path / "new" / "words.jsonl"))
    for _ in range(2):  # a second test starts afresh
        hook.before_test_epoch(runner)
        hook.after_test_iter(runner, 0, outputs=[labelled])
        hook.after_test_iter(runner, 1, outputs=[scored])
        hook.after_test_epoch(runner)
    lines = (tmp_path / "new" / "words.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [
        {"key": "a.png", "label": "ne", "text": "né", "scores": [0.5, 0.25]},
        {"key": "b.png", "label": None, "text": "", "scores": [0.75], "word_score": 0.75},
    ]
    assert "né" in lines[0]


def test_pictures_are_rgb_safely_named_and_thinned_out(tmp_path):
    drawn = []

    def add_datasample(name, image, data_sample, out_file):
        drawn.append((image[0, 0].tolist(), out_file))

    runner = SimpleNamespace(visualizer=SimpleNamespace(add_datasample=add_datasample))
    blue = torch.zeros(3, 4, 5, dtype=torch.uint8)
    blue[0] = 255  # BGR
    samples = [sample("x", [1.0], sample_key=f"../MJ/a b:{n}") for n in range(3)]
    hook = RecogVisualizationHook(out_dir=str(tmp_path / "out"), interval=2)
    hook.before_test_epoch(runner)
    hook.after_test_iter(runner, 0, data_batch=dict(inputs=[blue] * 3), outputs=samples)
    folder = tmp_path / "out"
    assert folder.is_dir()
    assert drawn == [
        ([0, 0, 255], str(folder / ".._MJ_a_b_0.png")),
        ([0, 0, 255], str(folder / ".._MJ_a_b_2.png")),
    ]


def test_pictures_under_test_time_augmentation(tmp_path):
    """Batches are lists of augmentations then, each with all words."""
    drawn = []
    runner = SimpleNamespace(
        visualizer=SimpleNamespace(add_datasample=lambda name, image, **_: drawn.append(image))
    )
    words = [torch.full((3, 4, 5), value, dtype=torch.uint8) for value in (10, 20)]
    turned = [word.transpose(1, 2) for word in words]
    hook = RecogVisualizationHook(out_dir=str(tmp_path))
    hook.before_test_epoch(runner)
    outputs = [sample("a", [1.0]), sample("b", [1.0])]
    hook.after_test_iter(runner, 0, dict(inputs=[tuple(words), tuple(turned)]), outputs)
    assert [(image.shape, image[0, 0, 0]) for image in drawn] == [((4, 5, 3), 10), ((4, 5, 3), 20)]


def test_bad_interval():
    with pytest.raises(ValueError, match="interval must be at least 1, got 0"):
        RecogVisualizationHook(out_dir="x", interval=0)
