"""Tests of the command ``lpv-mmocr read``."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

from lpv_mmocr.reading import WordReader

import cv2
import numpy as np
import pytest
import torch
from apis.inference_cases import ROOT, write_toy
from engine.hostile_pickles import Evaluates
from fresh_python import output_of
from mmengine.registry import init_default_scope
from mmocr.apis import TextRecInferencer


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    init_default_scope("mmocr")
    return write_toy(tmp_path_factory.mktemp("toy"))[1]


@pytest.fixture
def words(tmp_path) -> Path:
    """Folder with three images of words, a damaged image and a text file."""
    folder = tmp_path / "words"
    (folder / "more").mkdir(parents=True)
    for number, name in enumerate(("a.png", "b.png", "more/d.png")):
        image = np.full((20, 60, 3), 40, np.uint8)
        image[:, 10 * number : 20 + 15 * number] = (250, 40 * number, 9)
        cv2.imwrite(str(folder / name), image)
    (folder / "c.png").write_bytes(b"no image")
    (folder / "note.txt").write_text("hello")
    return folder


@pytest.fixture
def read(tool_in_process, checkpoint, capsys):
    """Return a function that runs the tool and returns its exit status, output and errors."""
    run = tool_in_process("read.py")

    def read(*arguments: object, weights: object = checkpoint) -> tuple[int, str, str]:
        status = run(*(("--weights", weights) if weights else ()), "--device", "cpu", *arguments)
        return status, *capsys.readouterr()

    return read


def test_batch_size_is_passed_on(read, words, monkeypatch):
    seen = []
    samples = WordReader._samples
    monkeypatch.setattr(
        WordReader,
        "_samples",
        lambda self, images: seen.append(len(images)) or samples(self, images),
    )
    read("words/a.png", "words/b.png", "words/more/d.png", "--batch-size", 2, "--no-tta")
    assert seen == [2, 1]


def test_blanks_belong_to_listed_names(read, words, monkeypatch):
    (words / "a.png").rename(words / " a.png ")
    monkeypatch.setattr(sys, "stdin", io.StringIO("words/ a.png \n"))
    status, output, _ = read("-", "--json")
    assert status == 0
    assert json.loads(output)["path"] == "words/ a.png "


@pytest.fixture(scope="module")
def plain_inferencer(checkpoint) -> TextRecInferencer:
    return TextRecInferencer(weights=str(checkpoint), device="cpu")


def test_words_of_a_folder_are_read(read, words):
    status, output, log = read("words")
    assert status == 1
    lines = [line.split("\t") for line in output.splitlines()]
    assert [path for path, _, _ in lines] == ["words/a.png", "words/b.png", "words/more/d.png"]
    assert all(0 <= float(confidence) <= 1 for _, _, confidence in lines)
    assert "words/c.png: it is not an image, or one of unknown or damaged format" in log
    assert log.splitlines()[-1] == "3 of 4 images read; 1 other files in folders left alone"


def test_status_is_0_if_all_images_are_read(read, words):
    status, output, log = read("words/a.png", "words/[b].png", "words/more")
    assert status == 0
    assert [line.split("\t")[0] for line in output.splitlines()] == [
        "words/a.png",
        "words/b.png",
        "words/more/d.png",
    ]
    assert log.splitlines()[-1] == "3 of 3 images read"


def test_control_characters_in_names_are_escaped(read, words):
    (words / "\x1b[31m\n.png").write_text("no image")
    _, _, log = read("words")
    assert "\nwords/\\x1b[31m\\n.png: it is not an image" in f"\n{log}"
    status, _, log = read("gone\x1b[31m")
    assert (status, "gone\\x1b[31m" in log, "\x1b" in log) == (2, True, False)


def test_json_has_one_line_per_image(read, words):
    status, output, _ = read("words", "gone.png", "--json", "--batch-size", 2)
    rows = [json.loads(line) for line in output.splitlines()]
    assert status == 1
    names = [Path(row["path"]).name for row in rows]
    assert names == ["a.png", "b.png", "c.png", "d.png", "gone.png"]
    for row in rows:
        assert list(row) == ["path", "text", "confidence", "scores", "error"]
        assert (row["text"] is None) == (row["error"] is not None)
        assert len(row["scores"]) == len(row["text"] or "")
    assert rows[4]["error"] == "there is no such file"


def test_csv_has_one_row_per_image(read, words):
    _, output, _ = read("words", "--csv", "--boxes")
    rows = list(csv.DictReader(io.StringIO(output)))
    assert [Path(row["path"]).name for row in rows] == ["a.png", "b.png", "c.png", "d.png"]
    for row in rows:
        assert len(row["boxes"].split()) == len(row["scores"].split()) == len(row["text"])
    assert rows[2]["error"].startswith("it is not an image")


def test_results_folder_holds_readings_and_attention(read, words, tmp_path):
    _, output, _ = read("words", "--out", "new/results", "--attention", "--boxes")
    assert len(output.splitlines()) == 3
    out = tmp_path / "new" / "results"
    rows = [json.loads(line) for line in (out / "readings.jsonl").read_text().splitlines()]
    assert [row.get("attention") for row in rows] == [
        "attention/000001_a.png",
        "attention/000002_b.png",
        None,
        "attention/000004_d.png",
    ]
    for row in rows[:2]:
        height, width, _ = cv2.imread(str(out / row["attention"])).shape
        assert height > 200 and width > 300
        assert len(row["boxes"]) == len(row["text"])
    assert sorted(os.listdir(out)) == ["attention", "readings.jsonl"]
    assert len(os.listdir(out / "attention")) == 3


def test_results_inside_the_input_folder_are_not_read(read, words, tmp_path):
    for _ in range(2):
        _, output, _ = read("words", "--out", "words/results", "--attention", "--batch-size", "1")
        assert len(output.splitlines()) == 3


def test_attention_file_of_a_long_name_is_shortened(read, words, tmp_path):
    name = "ä" * 124 + ".png"  # 252 bytes
    os.link(words / "a.png", words / name)
    status, _, _ = read(words / name, words / "b.png", "--out", "out", "--attention")
    assert status == 0
    assert sorted(os.listdir(tmp_path / "out" / "attention")) == [
        f"000001_{'ä' * 50}.png",
        "000002_b.png",
    ]


def test_attention_is_drawn_for_an_image_from_a_pipe(read, words, tmp_path):
    pipe, end = os.pipe()
    with open(end, "wb") as file:
        file.write((words / "a.png").read_bytes())
    status, _, log = read(f"/dev/fd/{pipe}", "--out", "out", "--attention")
    os.close(pipe)
    assert (status, log.splitlines()[-1]) == (0, "1 of 1 images read")
    assert cv2.imread(f"out/attention/000001_{pipe}.png").shape[0] > 200


def test_no_tta_reads_a_single_view(read, words, plain_inferencer):
    _, output, _ = read("words/a.png", "--no-tta")
    prediction = plain_inferencer("words/a.png", return_datasamples=True, progress_bar=False)
    (sample,) = prediction["predictions"]
    _, text, confidence = output.rstrip("\n").split("\t")
    assert text == sample.pred_text.item
    assert float(confidence) == pytest.approx(sample.pred_text.word_score, rel=1e-2)
    surest = read("words/a.png")[1].rstrip("\n").split("\t")
    assert float(surest[2]) > float(confidence), "random weights are unsure"


def test_deployed_model_reads_the_same_text(read, words):
    plain = read("words/a.png", "--json")
    deployed = read("words/a.png", "--json", "--deploy", "fp32")
    assert json.loads(deployed[1])["text"] == json.loads(plain[1])["text"]


def test_weights_are_taken_from_the_environment(read, words, checkpoint, monkeypatch):
    monkeypatch.setenv("LPV_WEIGHTS", str(checkpoint))
    assert read("words/a.png", weights=None)[:2] == read("words/a.png")[:2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "the following arguments are required: PATH"),
        (("words", "--batch-size", "0"), "--batch-size must be at least 1, got 0"),
        (("words", "--attention"), "--attention writes images: give a folder with --out DIR"),
        (("words", "--deploy", "bf16", "--boxes"), "--deploy keeps no attention"),
        (("words", "--json", "--csv"), "not allowed with argument"),
        (("gone", "*.bmp"), "error: there is no file or folder gone, *.bmp, and no pattern fits"),
        (("words", "--config", "gone.py"), "error: there is no config file gone.py"),
        (("words", "--device", "gpu"), "error: the device 'gpu' cannot be used"),
        (("words", "--weights", "gone.pth"), "error: there is no checkpoint gone.pth"),
        (("words", "--weights", "words"), "error: the weights are a folder: words; give the check"),
        (("words", "--config", "words/a.png"), "error: the config words/a.png cannot be read"),
        (("words", "--config", "words"), "error: the config words is a folder; give the file"),
        (("words", "--weights", "words/a.png"), "error: words/a.png cannot be read; it is damaged"),
    ],
)
def test_bad_input_is_rejected(read, words, arguments, message):
    status, output, log = read(*arguments)
    assert (status, output) == (2, "")
    assert message in log and "Traceback" not in log


def test_unsafe_weights_are_refused_with_a_reason(read, words, tmp_path):
    torch.save(dict(state_dict=Evaluates(tmp_path / "ran")), tmp_path / "evil.pth")
    status, _, log = read("words/a.png", weights=tmp_path / "evil.pth")
    assert status == 2
    assert "evil.pth was refused, and nothing in it was run: it asks for " in log
    assert not (tmp_path / "ran").exists()


def test_missing_weights_are_reported(read, words, monkeypatch):
    monkeypatch.delenv("LPV_WEIGHTS", raising=False)
    monkeypatch.setattr("lpv_mmocr.reading.weights.BUNDLED", "none.pth")
    status, output, log = read("words", weights=None)
    assert (status, output) == (2, "")
    assert log.startswith("error: no weights to read with. Give a checkpoint (--weights FILE")


@pytest.mark.parametrize("out", ["words/note.txt", "words/note.txt/new/results"])
def test_results_folder_that_is_a_file_is_rejected(read, words, out):
    status, _, log = read("words/a.png", "--out", out, weights="gone.pth")
    assert (status, log) == (2, "error: --out needs a folder, and words/note.txt is a file\n")


@pytest.mark.parametrize(
    ("taken", "options", "said"),
    [
        ("results/readings.jsonl/x", [], "needs the name of a file, and results/readings.jsonl is"),
        ("results/readings.csv/x", ["--csv"], "needs the name of a file, and results/readings.csv"),
        ("results/attention", ["--attention"], "needs a folder, and results/attention is a file"),
    ],
)
def test_results_that_cannot_be_written_are_noticed_at_once(
    read, words, tmp_path, taken, options, said
):
    (tmp_path / taken).parent.mkdir(parents=True)
    (tmp_path / taken).touch()
    status, _, log = read("words/a.png", "--out", "results", *options, weights="gone.pth")
    assert status == 2 and log.startswith(f"error: --out {said}")


def test_unwritable_results_folder_is_rejected(read, words, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != "words")
    status, _, log = read("words/a.png", "--out", "words/new/results", weights="gone.pth")
    assert status == 2
    assert log.startswith("error: --out words/new/results cannot be written: no permission to")
    assert not (words / "new").exists()


def test_folder_without_permission_is_reported(read, words, monkeypatch):
    scandir = os.scandir

    def locked(path):
        if path == "words/more":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", locked)
    status, output, log = read("words")
    assert status == 1
    assert "words/more: Permission denied\n" in log
    assert len(output.splitlines()) == 2
    assert "words/more: Permission denied\n" in read("words/more")[2]


def test_an_empty_list_leaves_earlier_results_alone(read, words, tmp_path, monkeypatch):
    assert read("words/a.png", "--out", "results")[0] == 0
    before = (tmp_path / "results" / "readings.jsonl").read_text()
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    status, _, log = read("-", "--out", "results")
    assert (status, log) == (2, "error: the list on standard input names no image\n")
    assert (tmp_path / "results" / "readings.jsonl").read_text() == before


def test_unknown_home_folder_is_reported(read, words):
    status, _, log = read("words/a.png", "--weights", "~nosuchuser/x.pth")
    assert status == 2
    assert log.startswith("error: ") and "~nosuchuser/x.pth" in log


def test_a_list_may_begin_with_a_byte_order_mark(read, words, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("\ufeffwords/a.png\r\n"))
    status, output, _ = read("-")
    assert status == 0 and output.startswith("words/a.png\t")


def test_addresses_of_unknown_kinds_are_reported_one_by_one(read, words):
    status, output, log = read("gs://b/x.png", "words/a.png")
    assert status == 1
    assert output.startswith("words/a.png\t")
    assert "gs://b/x.png: addresses that begin with gs:// cannot be read here\n" in log


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "lpv_mmocr_cli", "read", *map(str, arguments)]


@pytest.fixture
def environment(checkpoint) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "LPV_WEIGHTS": str(checkpoint)}


def test_closed_output_pipe_ends_the_command_quietly(words, environment):
    """The results far exceed the buffer of the pipe, and only one line is read."""
    names = [str(words / "a.png"), os.fsdecode(os.fsencode(words / "caf") + b"\xe9.png")]
    os.link(names[0], names[1])
    listed = words / "list"
    listed.write_bytes(b"\n".join(map(os.fsencode, [names[1], "", *names[:1] * 2000])))
    with (
        listed.open("rb") as file,
        subprocess.Popen(
            command("-", "--json", "--device", "cpu"),
            stdin=file,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
        ) as process,
    ):
        row = json.loads(process.stdout.readline())
        process.stdout.close()
        log = process.stderr.read().decode()
    assert os.fsencode(row["path"]) == os.fsencode(names[1])
    assert row["error"] is None
    assert process.returncode == 141
    assert "Traceback" not in log and "Broken" not in log


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
def test_closed_streams_are_no_obstacle(words, environment, tmp_path):
    """Neither the list on standard input, nor results, nor errors have a place."""
    arguments = command("-", words, "--device", "cpu", "--out", tmp_path / "out")
    shell = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *arguments]
    assert subprocess.run(shell, env=environment).returncode == 1
    rows = (tmp_path / "out" / "readings.jsonl").read_text().splitlines()
    read = [Path(row["path"]).name for row in map(json.loads, rows) if row["error"] is None]
    assert read == ["a.png", "b.png", "d.png"]


def test_figures_of_an_earlier_run_are_not_read(read, words):
    for options in (["--attention"], []):
        for path in ("words", "words/**/*.png"):
            _, output, _ = read(path, "--out", "words", *options)
            names = [line.split("\t")[0] for line in output.splitlines()]
            assert names == ["words/a.png", "words/b.png", "words/more/d.png"]


def test_progress_bar_is_kept_out_of_the_results_file(words, environment, tmp_path):
    terminal, end = pty.openpty()
    with (tmp_path / "results.txt").open("wb") as file:
        arguments = (words, "--device", "cpu")
        process = subprocess.Popen(command(*arguments), stdout=file, stderr=end, env=environment)
        os.close(end)
        shown = b""
        try:
            while part := os.read(terminal, 65536):
                shown += part
        except OSError:  # raised once the other end is closed
            pass
    assert process.wait() == 1
    os.close(terminal)
    lines = (tmp_path / "results.txt").read_text().splitlines()
    assert [Path(line.split("\t")[0]).name for line in lines] == ["a.png", "b.png", "d.png"]
    assert b"4/4" in shown and b"3 of 4 images read" in shown and b"not an image" in shown


def test_help_imports_no_slow_modules():
    code = (
        "import sys, runpy; sys.argv = ['read', '--help']\n"
        "try: runpy.run_path('tools/read.py', run_name='__main__')\n"
        "except SystemExit as end: assert end.code == 0\n"
        "slow = {'torch', 'mmengine', 'numpy', 'cv2', 'rich'} & set(sys.modules); assert not slow"
    )
    assert "Exit status: 0 if all images were read" in output_of(code)
