"""Tests of writing and drawing predictions; for a real runner see tests/tools/test_test.py."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

from lpv_mmocr.evaluation import (
    BenchmarkMetric,
    PredictionWriterHook,
    RecogVisualizationHook,
    TextProtocol,
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


def test_predictions_of_any_model_are_written(tmp_path):
    """Scores as list or tensor, with or without a label and a word score; non-ASCII text."""
    labelled = sample("né", torch.tensor([0.5, 0.25]), img_path="a.png")
    labelled.gt_text = LabelData(item="ne")
    scored = sample("", [0.75], img_path="b.png")
    scored.pred_text.word_score = 0.75
    broken = sample("x", torch.tensor([float("nan")]), img_path="c.png")
    broken.pred_text.word_score = float("nan")
    runner = SimpleNamespace(
        test_dataloader=SimpleNamespace(dataset=[0, 1, 2]), logger=MMLogger("test_predictions")
    )
    hook = PredictionWriterHook(out_file=str(tmp_path / "new" / "words.jsonl"))
    for _ in range(2):  # a second test starts from scratch
        hook.before_test_epoch(runner)
        hook.after_test_iter(runner, 0, outputs=[labelled])
        hook.after_test_iter(runner, 1, outputs=[scored, broken])
        hook.after_test_epoch(runner)
    lines = (tmp_path / "new" / "words.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [
        dict(key="a.png", label="ne", text="né", scores=[0.5, 0.25], path="a.png"),
        dict(key="b.png", label=None, text="", scores=[0.75], path="b.png", word_score=0.75),
        dict(key="c.png", label=None, text="x", scores=[0.0], path="c.png", word_score=0.0),
    ]
    assert "né" in lines[0]


def test_only_the_first_process_writes_predictions(tmp_path, monkeypatch):
    monkeypatch.setattr("lpv_mmocr.evaluation.prediction_hooks.is_main_process", lambda: False)
    runner = SimpleNamespace(test_dataloader=SimpleNamespace(dataset=[0]))
    hook = PredictionWriterHook(out_file=str(tmp_path / "words.jsonl"))
    hook.after_test_iter(runner, 0, outputs=[sample("x", [1.0])])
    hook.after_test_epoch(runner)
    assert not (tmp_path / "words.jsonl").exists()


def test_figures_are_rgb_safely_named_and_drawn_at_an_interval(tmp_path):
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


def test_first_view_is_drawn_under_test_time_augmentation(tmp_path):
    """Batches are then lists of augmented views, each with all words."""
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


def test_images_padded_by_the_pipeline_are_not_padded_again(tmp_path):
    ratios = []
    add_datasample = lambda name, image, data_sample, out_file: ratios.append(  # noqa: E731
        data_sample.valid_ratio
    )
    runner = SimpleNamespace(visualizer=SimpleNamespace(add_datasample=add_datasample))
    # A word 3 pixels wide, padded to 6 by the pipeline and to 12 in the batch.
    word = sample("x", [1.0], valid_ratio=0.25, batch_input_shape=(4, 12))
    hook = RecogVisualizationHook(out_dir=str(tmp_path))
    hook.before_test_epoch(runner)
    hook.after_test_iter(runner, 0, dict(inputs=[torch.zeros(3, 4, 6)]), [word])
    assert ratios == [0.5] and word.valid_ratio == 0.25


def test_errors_are_marked_as_the_test_counts_them(tmp_path):
    visualizer = SimpleNamespace(protocol=None)
    evaluator = SimpleNamespace(metrics=[BenchmarkMetric(case_sensitive=True)])
    runner = SimpleNamespace(visualizer=visualizer, test_evaluator=evaluator)
    RecogVisualizationHook(out_dir=str(tmp_path)).before_test_epoch(runner)
    assert visualizer.protocol == TextProtocol(case_sensitive=True)


def test_invalid_interval_is_refused():
    with pytest.raises(ValueError, match="interval must be at least 1, got 0"):
        RecogVisualizationHook(out_dir="x", interval=0)


def test_predictions_name_the_source_of_each_word(tmp_path):
    """Two folders of the same name have equal keys."""
    words = [
        sample("x", [1.0], sample_key="val:1", img_path=f"{year}/val/1", benchmark_set=name)
        for year, name in ((2023, "A"), (2024, "B"))
    ]
    runner = SimpleNamespace(
        test_dataloader=SimpleNamespace(dataset=[0, 1]), logger=MMLogger("test_places")
    )
    hook = PredictionWriterHook(out_file=str(tmp_path / "words.jsonl"))
    hook.before_test_epoch(runner)
    hook.after_test_iter(runner, 0, outputs=words)
    hook.after_test_epoch(runner)
    rows = [json.loads(line) for line in (tmp_path / "words.jsonl").read_text().splitlines()]
    assert [(row["set"], row["path"]) for row in rows] == [("A", "2023/val/1"), ("B", "2024/val/1")]


def drawn_names(tmp_path, samples) -> list[str]:
    names = []
    runner = SimpleNamespace(
        visualizer=SimpleNamespace(
            add_datasample=lambda name, image, data_sample, out_file: names.append(
                Path(out_file).name
            )
        )
    )
    images = [torch.zeros(3, 4, 5, dtype=torch.uint8)] * len(samples)
    hook = RecogVisualizationHook(out_dir=str(tmp_path))
    for _ in range(2):  # a second test starts from scratch
        hook.before_test_epoch(runner)
        hook.after_test_iter(runner, 0, dict(inputs=images), samples)
    assert names[: len(samples)] == names[len(samples) :]
    return names[: len(samples)]


def test_figures_do_not_overwrite_one_another(tmp_path):
    words = [
        sample("x", [1.0], sample_key="val:1", img_path="2023/val/1", benchmark_set="A"),
        sample("x", [1.0], sample_key="val:1", img_path="2024/val/1", benchmark_set="B"),
        sample("x", [1.0], sample_key="val:1", img_path="2023/val/1"),
        sample("x", [1.0], sample_key="val:1", img_path="2024/val/1"),
        sample("x", [1.0], img_path="a b.png"),
        sample("x", [1.0], img_path="a_b.png"),
        sample("x", [1.0], img_path="A_B.png"),
        sample("x", [1.0]),
        sample("x", [1.0]),
    ]
    names = drawn_names(tmp_path, words)
    assert len({name.casefold() for name in names}) == len(words)  # file systems may ignore case
    assert names[:3] == ["A_val_1.png", "B_val_1.png", "val_1.png"]
    assert re.fullmatch(r"val_1_[0-9a-f]{8}\.png", names[3])


def test_figure_names_have_a_limited_length(tmp_path):
    words = [sample("x", [1.0], img_path=f"{'ü' * 300}{number}.png") for number in range(2)]
    names = drawn_names(tmp_path, words)
    assert len(set(names)) == 2
    assert all(len(name.encode()) < 255 for name in names)


def test_processes_do_not_overwrite_each_others_figures(tmp_path, monkeypatch):
    monkeypatch.setattr("lpv_mmocr.evaluation.prediction_hooks.get_world_size", lambda: 2)
    names = [
        drawn_names(tmp_path, [sample("x", [1.0], sample_key="val:1", img_path=path)])
        for path in ("2023/val/1", "2024/val/1")
    ]
    assert names[0] != names[1]


def test_full_disk_keeps_earlier_predictions(tmp_path, small_disk):
    file = tmp_path / "words.jsonl"
    file.write_text("precious\n")
    runner = SimpleNamespace(
        test_dataloader=SimpleNamespace(dataset=[0]), logger=MMLogger("test_full_disk")
    )
    hook = PredictionWriterHook(out_file=str(file))
    hook.before_test_epoch(runner)
    hook.after_test_iter(runner, 0, outputs=[sample("a" * 2**19, [0.5], img_path="a.png")])
    with pytest.raises(OSError, match=f"too large: .{file}"):
        hook.after_test_epoch(runner)
    assert file.read_text() == "precious\n"
