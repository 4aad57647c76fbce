from __future__ import annotations

import csv
import errno
import io
import json
import os
from pathlib import Path

from lpv_mmocr.reading import Reading
from lpv_mmocr.reading.progress import _Terminal
from lpv_mmocr.reading.writers import csv_writer, json_writer, results_folder, text_writer

import numpy as np
import pytest
from rich.console import Console

BOXES = np.array([[0, 1, 2.5, 3], [4, 5, 6, 7]], np.float32)
READINGS = [
    Reading("a b.png", "ab", 0.5, (0.75, 1.0), BOXES),
    Reading("bad,\n.png", error="why"),
    Reading("c.png", "", 0.25),
]


def written(make_writer, images=(None, None, None)) -> str:
    stream = io.StringIO()
    write = make_writer(stream)
    for reading, image in zip(READINGS, images, strict=True):
        write(reading, image)
    return stream.getvalue()


def test_text_has_a_line_for_each_read_image():
    assert written(text_writer) == ("a b.png\tab\t0.500\t0,1,2.5,3 4,5,6,7\nc.png\t\t0.250\n")


def test_paths_in_text_have_no_control_characters():
    stream = io.StringIO()
    text_writer(stream)(Reading("\x1b[31m\n\t日本.png", "x", 1.0, (1.0,)), None)
    assert stream.getvalue() == "\\x1b[31m\\n\\t日本.png\tx\t1.000\n"


def test_readings_in_text_have_no_control_characters():
    """Characters of a model may be anything; joiners between letters stay."""
    stream = io.StringIO()
    text_writer(stream)(
        Reading("a.png", "\x1b]0;x\x07\t\u2028\u2029\u202eक्\u200dष", 1.0, (1.0,)), None
    )
    assert stream.getvalue() == "a.png\t\\x1b]0;x\\x07\\t\\u2028\\u2029\\u202eक्\u200dष\t1.000\n"


def test_json_has_a_line_for_each_image():
    rows = [json.loads(line) for line in written(json_writer).splitlines()]
    assert rows == [reading.to_dict() for reading in READINGS]
    first = json.loads(written(json_writer, ("attention/1.png", None, None)).splitlines()[0])
    assert first["attention"] == "attention/1.png"


def test_json_escapes_control_characters_of_paths():
    name = "\x1b[2J\x7f\x9b\u2028\u2029\u202e\u2066日本 é.png"
    stream = io.StringIO()
    json_writer(stream)(Reading(name, "x", 1.0, (1.0,)), None)
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["path"] == name
    assert line.isprintable() and "日本 é" in line


@pytest.mark.parametrize(("terminal", "name"), [(True, "\\x1b[2J.png"), (False, "\x1b[2J.png")])
def test_csv_escapes_names_only_on_a_terminal(terminal, name):
    stream = io.StringIO()
    stream.isatty = lambda: terminal
    csv_writer(stream)(Reading("\x1b[2J.png", "x", 1.0, (1.0,)), None)
    assert stream.getvalue().splitlines()[1].startswith(f"{name},x,")


def test_csv_escapes_names_above_a_progress_bar():
    shown = io.StringIO()
    stream = _Terminal(Console(file=shown, force_terminal=True))
    csv_writer(stream)(Reading("\x1b[2J.png", error="\x1b[1m"), None)
    assert "\x1b[2J" not in shown.getvalue() and "\x1b[1m" not in shown.getvalue()
    assert "\\x1b[2J.png" in shown.getvalue()


@pytest.mark.parametrize("name", ["a\rb", "a\r", "\r\n", "a\n\r", '"\r,"'])
def test_csv_keeps_carriage_returns(name):
    stream = io.StringIO()
    csv_writer(stream)(Reading(name, "x", 1.0, (1.0,)), None)
    header, row = csv.reader(io.StringIO(stream.getvalue(), newline=""))
    assert (len(row), row[:2]) == (len(header), [name, "x"])
    assert stream.getvalue().endswith(",\n") and not stream.getvalue().endswith("\r\n")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_json_is_valid_in_any_encoding(encoding):
    name = "\N{GRINNING FACE} wörd 日本"
    with io.TextIOWrapper(io.BytesIO(), encoding, errors="backslashreplace") as stream:
        json_writer(stream)(Reading(name, name, 1.0, (1.0,)), None)
        stream.flush()
        line = stream.buffer.getvalue().decode(encoding)
    assert json.loads(line)["path"] == json.loads(line)["text"] == name
    assert ("wörd" in line) == (encoding == "utf-8")


def test_encoding_above_a_progress_bar_is_that_of_the_terminal():
    terminal = io.TextIOWrapper(io.BytesIO(), "latin-1")
    assert _Terminal(Console(file=terminal, force_terminal=True)).encoding == "latin-1"


def test_csv_has_a_row_for_each_image():
    rows = list(csv.DictReader(io.StringIO(written(csv_writer, ("1.png", None, None)))))
    assert [row["path"] for row in rows] == ["a b.png", "bad,\n.png", "c.png"]
    assert rows[0] == dict(
        path="a b.png",
        text="ab",
        confidence="0.5",
        scores="0.75 1.0",
        boxes="0,1,2.5,3 4,5,6,7",
        attention="1.png",
        error="",
    )
    assert (rows[1]["text"], rows[1]["error"]) == ("", "why")


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_results_file_is_partial_until_complete(tmp_path, kind):
    with results_folder(tmp_path / "a" / "b", kind) as write:
        for reading in READINGS:
            write(reading, None)
        assert os.listdir(tmp_path / "a" / "b") == [f"readings.{kind}.partial"]
    assert os.listdir(tmp_path / "a" / "b") == [f"readings.{kind}"]
    content = (tmp_path / "a" / "b" / f"readings.{kind}").read_text()
    assert content == written(json_writer if kind == "jsonl" else csv_writer)


def test_readings_of_an_interrupted_run_are_kept(tmp_path):
    with pytest.raises(KeyboardInterrupt), results_folder(tmp_path, "jsonl") as write:
        write(READINGS[0], None)
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == ["readings.jsonl.partial"]
    assert json.loads((tmp_path / "readings.jsonl.partial").read_text()) == READINGS[0].to_dict()


def test_no_folder_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with results_folder(None, "jsonl") as write:
        write(READINGS[0], None)
    assert os.listdir(tmp_path) == []


def test_undecodable_file_name_survives_json(tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    with results_folder(tmp_path, "jsonl") as write:
        write(Reading(name, "x", 1.0, (1.0,)), None)
    (row,) = map(json.loads, (tmp_path / "readings.jsonl").read_text("utf-8").splitlines())
    assert os.fsencode(row["path"]) == b"caf\xe9.png"


def test_folder_to_which_another_process_writes_is_refused(tmp_path, monkeypatch):
    with results_folder(tmp_path, "jsonl") as write:
        write(READINGS[0], None)
    (tmp_path / "readings.jsonl.partial").write_text("of the other process\n")
    monkeypatch.setattr("lpv_mmocr.file_lock.try_lock", lambda file: False)
    with (
        pytest.raises(FileExistsError, match=r"another process is writing .*readings\.jsonl"),
        results_folder(tmp_path, "jsonl"),
    ):
        pass
    assert (tmp_path / "readings.jsonl.partial").read_text() == "of the other process\n"
    assert len((tmp_path / "readings.jsonl").read_text().splitlines()) == 1


def test_rest_of_a_killed_process_is_replaced(tmp_path):
    (tmp_path / "readings.jsonl.partial").write_text("half a li")
    with results_folder(tmp_path, "jsonl") as write:
        write(READINGS[0], None)
    assert json.loads((tmp_path / "readings.jsonl").read_text())["path"] == "a b.png"
    assert os.listdir(tmp_path) == ["readings.jsonl"]


def test_errors_of_others_keep_their_name(tmp_path):
    with pytest.raises(OSError) as raised, results_folder(tmp_path, "jsonl"):
        raise OSError(errno.ENOSPC, "standard output is full")
    assert raised.value.filename is None


def test_readings_are_complete_when_they_have_their_name(tmp_path, monkeypatch):
    seen = []
    replace = Path.replace

    def watched(self, target):
        seen.append(self.read_text())
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", watched)
    with results_folder(tmp_path, "jsonl") as write:
        write(READINGS[0], None)
    assert seen == [(tmp_path / "readings.jsonl").read_text()] != [""]


def test_error_of_a_full_disk_names_the_readings(tmp_path, small_disk):
    with (
        pytest.raises(OSError, match=r"too large: .*readings\.csv\.partial"),
        results_folder(tmp_path, "csv") as write,
    ):
        for _ in range(20_000):
            write(READINGS[0], None)
