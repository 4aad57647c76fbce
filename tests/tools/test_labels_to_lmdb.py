"""Tests of ``tools/dataset_converters/labels_to_lmdb.py``; details: test_conversion.py."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from lpv_mmocr.datasets import LPVLMDBDataset

import pytest
from forked_programs import Program, run_script

ROOT = Path(__file__).resolve().parents[2]
REAL_WORDS = Path(os.environ.get("LPV_REAL_DATA", ""), "words")


@pytest.fixture
def convert(tool_in_process):
    return tool_in_process("dataset_converters/labels_to_lmdb.py")


@pytest.fixture
def images(load_tool, toy_data, tmp_path) -> Path:
    """Folder of seven images of digits with labels.tsv."""
    tool = load_tool("dataset_converters/lmdb_to_labels.py")
    tool.main([str(toy_data / "val"), "--out", str(tmp_path / "images")])
    return tmp_path / "images"


def texts(path: Path) -> list[str]:
    dataset = LPVLMDBDataset(ann_file=str(path), test_mode=True)
    return [dataset.get_data_info(i)["instances"][0]["text"] for i in range(len(dataset))]


def test_labels_are_converted(convert, images, toy_data, tmp_path, capsys):
    assert convert(images / "labels.tsv", "--out", "made/out") == 0
    assert "wrote 7 samples to made/out\n" in capsys.readouterr().out
    assert texts(tmp_path / "made" / "out") == texts(toy_data / "val")


def test_texts_with_blanks_at_their_ends_are_pointed_out(convert, images, tmp_path, capsys):
    labels = tmp_path / "labels.tsv"
    labels.write_text(
        "images/000000001.png\ta b\nimages/000000002.png\tc \nimages/000000003.png\t d\n"
    )
    assert convert(labels, "--images", images, "--out", "out") == 0
    said = capsys.readouterr().out
    assert "note: the text of 2 of them begins or ends with white space, which a model" in said
    assert f"The first is {labels}, line 2: images/000000002.png\n" in said
    assert texts(tmp_path / "out") == ["a b", "c ", " d"]  # they may be meant


def test_bad_samples_are_rejected_left_out_or_kept(convert, images, tmp_path, capsys):
    (images / "bad.png").write_bytes(b"nonsense")
    labels = tmp_path / "labels.txt"
    labels.write_text("images/000000001.png\ta\nbad.png\tb\n\nimages/000000002.png\t\n")
    arguments = [labels, "--images", images, "--format", "tsv"]
    assert convert(*arguments, "--out", "out") == 2
    error = capsys.readouterr().err
    assert f"error: {labels}, line 2: bad.png: its image (8 bytes) cannot be decoded: it" in error
    assert "--skip-bad" in error

    assert convert(*arguments, "--out", "out", "--skip-bad") == 0
    output = capsys.readouterr().out
    assert "left out 1 bad samples, listed in out/left-out.tsv" in output
    assert "the text of 1 of them is empty" in output
    assert texts(tmp_path / "out") == ["a", ""]
    assert convert(*arguments, "--out", "unchecked", "--no-check") == 0
    assert texts(tmp_path / "unchecked") == ["a", "b", ""]


def test_errors_are_reported(convert, images, tmp_path, capsys):
    assert convert("nowhere.tsv", "--out", "out") == 2
    assert capsys.readouterr().err == "error: there is no label file nowhere.tsv\n"
    assert convert(images / "labels.tsv", "--out", images) == 2
    assert "images exists; choose another name" in capsys.readouterr().err


@pytest.mark.skipif(not REAL_WORDS.is_dir(), reason="LPV_REAL_DATA names no folder with words")
def test_real_words_keep_their_bytes_and_labels(convert, tmp_path):
    assert convert(REAL_WORDS / "labels.tsv", "--out", "out") == 0
    dataset = LPVLMDBDataset(ann_file=str(tmp_path / "out"), test_mode=True)
    lines = (REAL_WORDS / "labels.tsv").read_text(encoding="utf-8").splitlines()
    assert len(dataset) == len(lines)
    for index, line in enumerate(lines):
        name, text = line.split("\t")
        info = dataset.get_data_info(index)
        assert info["img_bytes"] == (REAL_WORDS / name).read_bytes()
        assert info["instances"] == [dict(text=text)]


@pytest.mark.slow
def test_killed_process_leaves_only_a_partial_folder(convert, images, tmp_path, capsys):
    # Nothing is written into the pipe, so the tool blocks there, halfway through its work.
    os.mkfifo(images / "pipe.png")
    labels = images / "labels.tsv"
    labels.write_text("images/000000001.png\ta\npipe.png\tb\n")
    tool = ROOT / "tools" / "dataset_converters" / "labels_to_lmdb.py"
    log = images / "log"
    program = Program(run_script, tool, tmp_path, labels, "--out", "out", log=log)
    end = time.monotonic() + 60
    while not (tmp_path / "out.partial" / "data.mdb").exists() and time.monotonic() < end:
        assert program.running()
        time.sleep(0.05)
    program.send(signal.SIGKILL)
    assert program.wait() == [-signal.SIGKILL]
    assert sorted(os.listdir(tmp_path)) == ["images", "out.partial"]

    labels.write_text("images/000000001.png\ta\n")
    assert convert(labels, "--out", tmp_path / "out") == 2
    assert "out.partial exists: a run that was killed left it" in capsys.readouterr().err
