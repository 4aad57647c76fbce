"""Tests of ``tools/analysis_tools/lmdb_info.py``; the numbers: test_lmdb_statistics.py."""

from __future__ import annotations

import errno
import json

from lpv_mmocr.datasets import LMDBWriter

import cv2
import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def info(tool_in_process):
    return tool_in_process("analysis_tools/lmdb_info.py")


def test_one_lmdb_is_summarised(info, toy_data, capsys):
    assert info(toy_data / "val") == 0
    output = capsys.readouterr().out
    assert f"{toy_data}/val\n" in output
    assert "7 (100.00 %) pass the released filter" in output
    assert "PNG 7" in output
    assert "none found" in output


def test_lmdbs_of_a_tree_are_summarised_together_or_each(info, toy_data, tmp_path, capsys):
    assert info(toy_data, toy_data / "val", "--json", "info.json") == 0
    output = capsys.readouterr().out
    assert "2 LMDBs together" in output, "one that is named twice counts once"
    content = json.loads((tmp_path / "info.json").read_text())
    assert [part["samples"] for part in content["lmdbs"]] == [24, 7]
    assert content["total"]["samples"] == 31
    assert output.count("pass the released filter") == 1

    assert info(toy_data, "--each", "--no-decode", "--sample", "3") == 0
    output = capsys.readouterr().out
    assert output.count("pass the released filter") == 2
    assert output.count("3 chosen at random, by their headers") == 2


def test_sheet_shows_the_samples_in_order(info, tmp_path, capsys):
    for name, channel in (("blue", 0), ("red", 2)):
        image = np.zeros((46, 148, 3), np.uint8)
        image[..., channel] = 255
        with LMDBWriter(tmp_path / "tree" / name) as writer:
            writer.write(cv2.imencode(".png", image)[1].tobytes(), name)
    assert info("tree", "--sheet", "new/sheet.png") == 0
    assert "wrote new/sheet.png: 2 samples" in capsys.readouterr().out
    sheet = Image.open(tmp_path / "new" / "sheet.png")
    assert sheet.width < 400
    assert [sheet.getpixel((x, 20)) for x in (70, 220)] == [(0, 0, 255), (255, 0, 0)]


def test_bad_samples_show_in_status_list_and_sheet(info, tmp_path, capsys):
    with LMDBWriter(tmp_path / "words") as writer:
        writer.write(b"nonsense", "word")
    assert info("words", "--sheet", "sheet.png") == 1
    assert "words:image-000000001: its image (8 bytes) cannot be decoded" in capsys.readouterr().out
    assert Image.open(tmp_path / "sheet.png").getpixel((70, 20)) == (160, 160, 160)


def test_damaged_pages_are_an_error(info, tmp_path, capsys):
    with LMDBWriter(tmp_path / "words") as writer:
        for _ in range(300):
            writer.write(b"nonsense", "word")
    data = bytearray((tmp_path / "words" / "data.mdb").read_bytes())
    for start in range(2 * 4096, len(data), 4096):
        if b"label-" in data[start + 16 : start + 4096]:
            data[start : start + 4096] = bytes(4096)
    (tmp_path / "words" / "data.mdb").write_bytes(data)
    assert info("words", "--sheet", "sheet.png") == 2
    assert capsys.readouterr().err.startswith("error: key num-samples of words/data.mdb cannot be ")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["nowhere"], "error: LMDB folder nowhere does not exist\n"),
        (["."], "error: . is not an LMDB and holds none"),
        (["{val}", "--sample", "0"], "error: --sample must be at least 1, got 0\n"),
        (["{val}", "--sheet-count", "0"], "error: --sheet-count must be at least 1, got 0\n"),
        (["{val}", "--sheet", "s.xyz"], "error: --sheet s.xyz: the file's name must end in .png, "),
        (["{val}", "--sheet", "sheet"], "error: --sheet sheet: the file's name must end in .png, "),
        (["{val}", "--sheet-font", "x.ttf"], "error: there is no font x.ttf\n"),
        (
            ["{val}", "--sheet-font", "{val}/data.mdb"],
            "error: --sheet-font {val}/data.mdb is not a font",
        ),
        (["{val}", "--json", "{val}"], "error: --json needs the name of a file, and {val} is a "),
    ],
)
def test_errors_are_reported(info, toy_data, capsys, arguments, error):
    assert info(*(part.format(val=toy_data / "val") for part in arguments)) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith(error.format(val=toy_data / "val")) and not shown.out


@pytest.mark.parametrize("ending", [".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"])
def test_every_allowed_file_ending_can_be_written(info, toy_data, tmp_path, ending):
    assert info(toy_data / "val", "--sheet", f"sheet{ending.upper()}") == 0
    assert Image.open(tmp_path / f"sheet{ending.upper()}").mode == "RGB"


def test_lmdb_under_two_names_counts_once_where_it_is_first(info, toy_data, tmp_path):
    (tmp_path / "link").symlink_to(toy_data / "val")
    assert info(toy_data / "val", toy_data / "train", "link", "--json", "info.json") == 0
    content = json.loads((tmp_path / "info.json").read_text())
    assert [part["name"] for part in content["lmdbs"]] == [f"{toy_data}/val", f"{toy_data}/train"]


def test_statistics_are_printed_even_if_no_file_can_be_written(info, toy_data, capsys, monkeypatch):
    def fail(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "a.json")

    monkeypatch.setattr("lpv_mmocr.atomic_files.os.fsync", fail)
    assert info(toy_data / "val", "--json", "a.json") == 2
    shown = capsys.readouterr()
    assert "7 (100.00 %) pass the released filter" in shown.out
    assert "a.json" in shown.err and "wrote" not in shown.out


def test_files_are_written_even_if_nothing_can_be_printed(info, toy_data, tmp_path, close_pipe):
    """As with a pipe to ``head``, whose status must not be that of bad samples."""
    close_pipe()
    assert info(toy_data / "val", "--json", "a.json", "--sheet", "a.png") == 141
    assert json.loads((tmp_path / "a.json").read_text())["total"]["samples"] == 7
    assert Image.open(tmp_path / "a.png").format == "PNG"
