"""Tests of ``tools/test.py``."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from lpv_mmocr.datasets import LPVLMDBDataset
from lpv_mmocr.reading import WordReader

import cv2
import pytest
import torch

WORDS = 7


@pytest.fixture
def test_tool(tool_in_process):
    return tool_in_process("test.py")


def test_predictions_and_figures_are_written(test_tool, toy_config, toy_run, tmp_path):
    checkpoint = toy_run / "iter_4.pth"
    outputs = ["--save-preds", "--show-dir", tmp_path / "figures", "--work-dir", tmp_path / "run"]
    assert test_tool(toy_config, checkpoint, *outputs) == 0

    lines = (tmp_path / "run/iter_4_predictions.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["key"] for row in rows] == [f"val:image-{n:09d}" for n in range(1, WORDS + 1)]
    assert all(row["label"].isdigit() for row in rows)
    assert all(len(row["scores"]) == max(len(row["text"]), 1) for row in rows)
    assert all(0 <= row["word_score"] <= 1 for row in rows)

    figures = sorted((tmp_path / "figures").iterdir())
    assert [figure.name for figure in figures] == [
        f"val_image-{n:09d}.png" for n in range(1, WORDS + 1)
    ]
    # The word, its label and the predicted text, one below the other.
    assert cv2.imread(str(figures[0])).shape == (3 * 64, 128, 3)
    assert not list((tmp_path / "run").rglob("*.png"))


def test_attention_figures_are_written(test_tool, toy_config, toy_run, tmp_path):
    options = ["--show-dir", tmp_path / "figures", "--show-attention"]
    assert test_tool(toy_config, toy_run / "iter_4.pth", *options) == 0
    figures = sorted((tmp_path / "figures").iterdir())
    assert len(figures) == WORDS
    # Three stages, one below the other, are taller than MMOCR's figure of three rows.
    assert all(cv2.imread(str(figure)).shape[0] > 400 for figure in figures)


def test_sigterm_is_an_interruption(test_tool, toy_config, toy_run, monkeypatch, capsys):
    """So that processes that load data are ended, too."""
    monkeypatch.setattr(
        "lpv_mmocr.evaluation.UnreadableLabelsHook.before_test",
        lambda self, runner: os.kill(os.getpid(), signal.SIGTERM),
        raising=False,
    )
    assert test_tool(toy_config, toy_run / "iter_4.pth") == 130
    assert capsys.readouterr().err.endswith("interrupted\n")


def test_sigterm_ends_a_process_of_several_at_once(test_tool, toy_config, toy_run, monkeypatch):
    """Another one may have failed, and this one may wait for it."""
    seen = []
    monkeypatch.setattr(
        "lpv_mmocr.cli.load_run_config",
        lambda args: seen.append(signal.getsignal(signal.SIGTERM)) or fail(),
    )
    before = signal.getsignal(signal.SIGTERM)
    for launcher in ("pytorch", "none"):
        assert test_tool(toy_config, toy_run / "iter_4.pth", "--launcher", launcher) == 2
    assert seen[0] is before and seen[1] is not before


def fail() -> None:
    raise ValueError("enough")


def test_predictions_are_written_to_the_named_file(test_tool, toy_config, toy_run, tmp_path):
    assert test_tool(toy_config, toy_run / "iter_4.pth", "--save-preds", "mine.jsonl") == 0
    assert len((tmp_path / "mine.jsonl").read_text().splitlines()) == WORDS


def test_deployed_model_with_tta_reads_the_same(test_tool, toy_config, toy_run, tmp_path):
    checkpoint, rows = toy_run / "iter_4.pth", []
    for options in (["--tta"], ["--tta", "--deploy"]):
        assert test_tool(toy_config, checkpoint, "--save-preds", *options) == 0
    for name in ("iter_4_tta", "iter_4_tta_deployed-fp32"):
        (file,) = tmp_path.rglob(f"{name}_predictions.jsonl")
        rows.append([json.loads(line) for line in file.read_text().splitlines()])
    plain, deployed = rows
    assert [row["text"] for row in deployed] == [row["text"] for row in plain]
    for one, other in zip(plain, deployed, strict=True):
        assert other["word_score"] == pytest.approx(one["word_score"], rel=1e-3)


@pytest.mark.parametrize(
    "options",
    [[], ["--tta"], ["--deploy"], ["--tta", "--deploy", "bf16"]],
    ids=["plain", "tta", "deploy", "both"],
)
def test_report_lists_the_errors(test_tool, toy_config, toy_run, tmp_path, options):
    assert test_tool(toy_config, toy_run / "iter_4.pth", "--report", "page", *options) == 0
    html = (tmp_path / "page/report.html").read_text(encoding="utf-8")
    assert "<h1>Test of iter_4.pth</h1>" in html
    errors = html.count("<dt>Sample</dt>")
    assert errors > 0, "four iterations teach nothing"
    assert html.count('class="word"') == errors
    assert html.count('class="attention"') == (0 if options else errors)


def test_tta_draws_every_word(test_tool, toy_config, toy_run, tmp_path):
    options = ["--tta", "--show-dir", tmp_path / "figures"]
    assert test_tool(toy_config, toy_run / "iter_4.pth", *options) == 0
    assert len(list((tmp_path / "figures").iterdir())) == WORDS


def test_predictions_match_those_of_the_reader(test_tool, toy_config, toy_run, toy_data):
    """After four iterations the model is confident of no word, so all views are used."""
    rows = {}
    for name, options in (("once", []), ("again", ["--tta"])):
        file = f"{name}.jsonl"
        checkpoint = toy_run / "iter_4.pth"
        assert test_tool(toy_config, checkpoint, "--save-preds", file, *options) == 0
        rows[name] = [json.loads(line) for line in Path(file).read_text().splitlines()]
    words = LPVLMDBDataset(data_root=str(toy_data), ann_file="val", test_mode=True)
    images = [words[number]["img"] for number in range(WORDS)]
    for name, tta in (("once", False), ("again", True)):
        reader = WordReader(toy_run / "iter_4.pth", toy_config, device="cpu", tta=tta)
        for row, reading in zip(rows[name], reader.read(images), strict=True):
            assert row["text"] == reading.text
            assert row["word_score"] == pytest.approx(reading.confidence, rel=1e-4)
    gains = [
        again["word_score"] / once["word_score"]
        for once, again in zip(rows["once"], rows["again"], strict=True)
    ]
    assert min(gains) > 0.999 and max(gains) > 1.01


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_deployed_model_reads_the_same(test_tool, toy_config, toy_run, tmp_path, dtype):
    readings = []
    for name, options in (("plain", []), ("deployed", ["--deploy", dtype])):
        file = tmp_path / f"{name}.jsonl"
        checkpoint = toy_run / "iter_4.pth"
        assert test_tool(toy_config, checkpoint, "--save-preds", str(file), *options) == 0
        readings.append([json.loads(line) for line in file.read_text().splitlines()])
    plain, deployed = readings
    assert len(plain) == WORDS
    assert [row["key"] for row in plain] == [row["key"] for row in deployed]
    changes = [
        abs(ours["word_score"] / theirs["word_score"] - 1)
        for ours, theirs in zip(deployed, plain, strict=True)
    ]
    if dtype == "fp32":
        assert [row["text"] for row in plain] == [row["text"] for row in deployed]
        assert max(changes) < 1e-4
    else:  # 26 characters at 8 significant bits each
        assert 1e-3 < max(changes) < 0.15


class TestBadInput:
    @pytest.fixture
    def error_of(self, test_tool, capfd):
        def run(*arguments: object) -> str:
            assert test_tool(*arguments) == 2
            error = capfd.readouterr().err
            assert "Traceback" not in error
            return error.splitlines()[-1]

        return run

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ([], "--show-attention draws into a folder: give --show-dir DIR as well"),
            (["--show-dir", "x", "--tta"], "--show-attention and --tta exclude each other"),
            (["--show-dir", "x", "--deploy"], "--show-attention and --deploy exclude each other"),
        ],
    )
    def test_show_attention_with_unsuitable_options(
        self, error_of, toy_config, toy_run, options, message
    ):
        checkpoint = toy_run / "iter_4.pth"
        assert message in error_of(toy_config, checkpoint, "--show-attention", *options)

    def test_attention_of_another_decoder(self, error_of, toy_config, toy_run):
        options = ["--show-dir", "x", "--cfg-options", "model.decoder.type=NRTRDecoder"]
        error = error_of(toy_config, toy_run / "iter_4.pth", "--show-attention", *options)
        assert error.endswith("is NRTRDecoder")

    def test_no_config(self, error_of):
        assert error_of("nowhere.py", "x.pth") == "error: there is no config file nowhere.py"

    @pytest.mark.parametrize("tta", [[], ["--tta"]])
    def test_weights_of_another_model(self, error_of, toy_config, toy_run, tmp_path, tta):
        whole = torch.load(toy_run / "iter_4.pth", weights_only=True)
        whole["state_dict"].popitem()
        torch.save(whole, tmp_path / "part.pth")
        error = error_of(toy_config, "part.pth", *tta)
        assert "1 of" in error and "Use the config that it was trained with" in error

    def test_no_checkpoint(self, error_of, toy_config):
        assert error_of(toy_config, "gone.pth") == "error: there is no checkpoint gone.pth"

    def test_damaged_checkpoint(self, error_of, toy_config, tmp_path):
        (tmp_path / "bad.pth").write_bytes(b"not a checkpoint")
        assert "bad.pth" in error_of(toy_config, "bad.pth")

    def test_report_folder_that_is_a_file(self, error_of, toy_config, toy_run, tmp_path):
        (tmp_path / "taken").touch()
        error = error_of(toy_config, toy_run / "iter_4.pth", "--report", "taken")
        assert error == "error: the report needs a folder, and taken is a file"

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (["--save-preds", "folder"], "--save-preds needs the name of a file, and folder is a"),
            (["--save-preds", "taken/x.jsonl"], "--save-preds needs a folder, and taken is a file"),
            (["--show-dir", "taken"], "--show-dir needs a folder, and taken is a file"),
            (["--show-dir", "taken/x"], "--show-dir needs a folder, and taken is a file"),
        ],
    )
    def test_outputs_that_cannot_be_written(
        self, error_of, toy_config, toy_run, tmp_path, options, said
    ):
        (tmp_path / "taken").touch()
        (tmp_path / "folder").mkdir()
        # Checked before the run, which would otherwise fail only at its end.
        assert said in error_of(toy_config, toy_run / "iter_4.pth", *options)

    def test_links_to_nowhere(self, error_of, toy_config, toy_run, tmp_path):
        (tmp_path / "taken").touch()
        (tmp_path / "link.jsonl").symlink_to(tmp_path / "taken" / "x.jsonl")
        options = [toy_config, toy_run / "iter_4.pth", "--save-preds", "link.jsonl"]
        assert "--save-preds needs a folder, and" in error_of(*options)

    def test_report_that_is_a_folder(self, error_of, toy_config, toy_run, tmp_path):
        (tmp_path / "report" / "report.html").mkdir(parents=True)
        error = error_of(toy_config, toy_run / "iter_4.pth", "--report", "report")
        assert error == (
            "error: the report needs the name of a file, and report/report.html is a folder"
        )

    def test_work_folder_that_is_a_file(self, error_of, toy_config, toy_run, tmp_path):
        (tmp_path / "taken").touch()
        error = error_of(toy_config, toy_run / "iter_4.pth", "--work-dir", "taken")
        assert error == "error: --work-dir (work_dir) needs a folder, and taken is a file"

    def test_no_data(self, error_of, toy_config, toy_run):
        options = ["--cfg-options", "test_dataloader.dataset.ann_file=gone"]
        assert "gone" in error_of(toy_config, toy_run / "iter_4.pth", *options)

    def test_tta_without_its_config_entries(self, error_of, toy_config, toy_run, tmp_path):
        file = tmp_path / "plain.py"
        file.write_text(f"_base_ = {str(toy_config)!r}\ntta_model = None\ntta_pipeline = None\n")
        error = error_of(file, toy_run / "iter_4.pth", "--tta")
        assert error.endswith("has no tta_model, tta_pipeline")

    def test_tta_with_another_pipeline(self, error_of, toy_config, toy_run, tmp_path):
        file = tmp_path / "wider.py"
        resize = "dict(type='Resize', scale=(200, 32), backend='pillow', interpolation='bicubic')"
        file.write_text(
            f"_base_ = {str(toy_config)!r}\n"
            f"pipeline = [dict(type='LoadWordImage'), *_base_.load, {resize}, _base_.pack]\n"
            "test_dataloader = dict(dataset=dict(pipeline=pipeline))\n"
        )
        error = error_of(file, toy_run / "iter_4.pth", "--tta")
        assert f"tta_pipeline of {file} has not the same Resize as the pipeline" in error
