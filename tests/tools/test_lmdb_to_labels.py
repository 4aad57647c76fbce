"""Tests of ``tools/dataset_converters/lmdb_to_labels.py``; details: test_conversion.py."""

from __future__ import annotations

import json

from lpv_mmocr.datasets import LMDBWriter

import pytest


@pytest.fixture
def convert(tool_in_process):
    return tool_in_process("dataset_converters/lmdb_to_labels.py")


@pytest.mark.parametrize("options", [["--labels", "l.jsonl"], ["--format", "jsonl"]])
def test_lmdb_is_converted(convert, toy_data, tmp_path, capsys, options):
    assert convert(toy_data / "val", "--out", "out", *options) == 0
    (file,) = (path for path in (tmp_path / "out").iterdir() if path.is_file())
    assert capsys.readouterr().out == f"wrote 7 images and {file.name} to out\n"
    entries = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(entries) == 7
    assert all((tmp_path / "out" / entry["filename"]).is_file() for entry in entries)
    assert all(entry["text"].isdigit() for entry in entries)


def test_bad_samples_are_written_only_without_checks(convert, tmp_path, capsys):
    with LMDBWriter(tmp_path / "words") as writer:
        writer.write(b"nonsense", "a")
        writer.write(b"more of it", "")
    assert convert("words", "--out", "out", "--skip-bad") == 2
    assert "none of the 2 samples of words can be used" in capsys.readouterr().err
    assert convert("words", "--out", "out", "--no-check") == 0
    assert "note: the text of 1 of them is empty" in capsys.readouterr().out


def test_errors_are_reported(convert, toy_data, tmp_path, capsys):
    assert convert(toy_data, "--out", "out") == 2
    assert "is not an LMDB but holds 2: " in capsys.readouterr().err
    assert convert(toy_data / "val", "--out", "out", "--labels", "l.csv") == 2
    assert "give --format (tsv, txt, jsonl, json)" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
