from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from lpv_mmocr.datasets import LMDBDataError
from lpv_mmocr.rendering.font_discovery import matplotlib_font_folder
from lpv_mmocr.rendering.lmdb_job import remove_partial, render_lmdb

import cv2
import lmdb
import numpy as np
import pytest
from forked_programs import Program, run_script

ROOT = Path(__file__).parents[2]
TOOL = ROOT / "tools" / "dataset_converters" / "render_words.py"
FONTS = str(matplotlib_font_folder())
ARGUMENTS = ["--fonts", FONTS, "--no-system-fonts", "--difficulty", "easy", "--max-length", "5"]


def content(folder):
    with lmdb.open(str(folder), readonly=True, lock=False) as env, env.begin() as txn:
        return dict(txn.cursor())


def call(*arguments, **options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(TOOL), *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=300, **options
    )


@pytest.fixture(scope="module")
def job(make_renderer):
    def run(out, *, count=600, workers=1, seed=1, **options):
        return render_lmdb(
            out,
            count=count,
            seed=seed,
            make_renderer=lambda: make_renderer("easy", high=5),
            recipe={"what": "test"},
            workers=workers,
            **options,
        )

    return run


@pytest.fixture(scope="module")
def finished(job, tmp_path_factory):
    out = tmp_path_factory.mktemp("lmdb") / "one"
    assert job(out) is True
    return out


def test_output_has_the_common_lmdb_format(finished):
    data = content(finished)
    assert data[b"num-samples"] == b"600"
    assert set(data) == {
        b"num-samples",
        *(b"image-%09d" % k for k in range(1, 601)),
        *(b"label-%09d" % k for k in range(1, 601)),
    }
    for number in (1, 300, 600):
        image = cv2.imdecode(np.frombuffer(data[b"image-%09d" % number], np.uint8), 1)
        assert image.ndim == 3
        assert 1 <= len(data[b"label-%09d" % number].decode("utf-8")) <= 5
    assert not finished.with_name("one.partial").exists()


@pytest.mark.parametrize("workers", [2, 3])
def test_the_number_of_workers_changes_nothing(job, finished, tmp_path, workers):
    job(tmp_path / "out", workers=workers)
    assert content(tmp_path / "out") == content(finished)


def test_resumed_run_ends_like_an_uninterrupted_one(job, finished, tmp_path):
    out = tmp_path / "out"
    seen = []

    def stop(steps):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        job(out, on_progress=stop)
    assert not out.exists()
    assert job(out, on_start=seen.append) is True
    assert seen == [250]
    assert content(out) == content(finished)
    assert job(out) is False


def test_full_disk_leaves_a_partial_folder(job, tmp_path, small_disk):
    with pytest.raises(OSError, match=r"out\.partial.* cannot be written: "):
        job(tmp_path / "out")
    assert os.listdir(tmp_path) == ["out.partial"]


def test_other_settings_are_refused(job, finished, tmp_path):
    with pytest.raises(FileExistsError, match=r"other settings \(seed\); choose another --out"):
        job(finished, seed=2)
    (tmp_path / "mine").mkdir()
    with pytest.raises(FileExistsError, match="was not made by this tool"):
        job(tmp_path / "mine")
    with pytest.raises(KeyboardInterrupt):
        job(tmp_path / "half", on_progress=_interrupt)
    with pytest.raises(FileExistsError, match=r"\(count\); give --restart, or delete it, to"):
        job(tmp_path / "half", count=700)
    remove_partial(tmp_path / "half")
    assert not (tmp_path / "half.partial").exists()
    remove_partial(tmp_path / "half")
    (tmp_path / "photos.partial").mkdir()
    with pytest.raises(FileExistsError, match=r"photos\.partial is empty, .*: give --restart"):
        job(tmp_path / "photos")
    remove_partial(tmp_path / "photos")
    (tmp_path / "photos.partial").mkdir()
    (tmp_path / "photos.partial" / "photo.jpg").touch()
    not_ours = r"photos\.partial exists and was not made by this tool .*delete it yourself"
    for attempt in (lambda: remove_partial(tmp_path / "photos"), lambda: job(tmp_path / "photos")):
        with pytest.raises(FileExistsError, match=not_ours):
            attempt()
    assert (tmp_path / "photos.partial" / "photo.jpg").is_file()
    assert job(tmp_path / "half", count=5) is True


def test_a_second_run_at_once_is_refused(job, finished, tmp_path):
    refused = []

    def second(steps):
        for attempt in (lambda: job(tmp_path / "out"), lambda: remove_partial(tmp_path / "out")):
            with pytest.raises(FileExistsError, match=r"another run is writing in .*out\.partial"):
                attempt()
            refused.append(attempt)

    assert job(tmp_path / "out", on_progress=second) is True
    assert len(refused) == 6
    assert content(tmp_path / "out") == content(finished)
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["data.mdb", "render.json"]


def _interrupt(steps):
    raise KeyboardInterrupt


@pytest.mark.parametrize(("count", "workers"), [(0, 1), (5, 0)])
def test_zero_words_or_workers_are_refused(job, tmp_path, count, workers):
    with pytest.raises(ValueError, match="must be positive"):
        job(tmp_path / "out", count=count, workers=workers)


def test_a_negative_seed_leaves_nothing_behind(job, tmp_path):
    with pytest.raises(ValueError, match="seed must not be negative, got -1"):
        job(tmp_path / "out", seed=-1)
    assert list(tmp_path.iterdir()) == []


def test_worker_that_dies_raises_instead_of_hanging(tmp_path, make_renderer):
    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(ChildProcessError, match=r"a worker process died.*same command continues"):
        render_lmdb(tmp_path / "out", count=600, seed=1, make_renderer=die, recipe={}, workers=2)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_command_survives_being_killed(tmp_path):
    """After a SIGKILL, the same command ends with the output of an undisturbed run."""
    arguments = ["--num", "3000", "--workers", "2", *ARGUMENTS]
    out, log = tmp_path / "killed", tmp_path / "log"

    def start(folder: Path) -> Program:
        return Program(run_script, TOOL, tmp_path, "--out", folder, *arguments, log=log)

    program = start(out)
    partial = out.with_name("killed.partial") / "data.mdb"
    deadline = time.monotonic() + 120
    while not (partial.exists() and partial.stat().st_size > 300_000):
        assert program.running(), "finished before it could be killed"
        assert time.monotonic() < deadline, "nothing was rendered in two minutes"
        time.sleep(0.02)
    program.send(signal.SIGKILL)
    program.wait()
    assert not out.exists()
    for folder in (out, tmp_path / "whole"):
        start(folder).finish()
    assert content(out) == content(tmp_path / "whole")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc")
def test_sigterm_ends_the_command_and_its_workers(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    arguments = ["--out", tmp_path / "out", "--num", "100000", "--workers", "2", *ARGUMENTS]
    process = subprocess.Popen(
        [sys.executable, str(TOOL), *map(str, arguments)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    partial = tmp_path / "out.partial" / "data.mdb"
    deadline = time.monotonic() + 120
    while not (partial.exists() and partial.stat().st_size > 300_000):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    workers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(workers) >= 2
    process.terminate()
    _, shown = process.communicate(timeout=300)
    assert process.returncode == 130
    assert shown.endswith("interrupted; the same command continues\n")
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)


def test_the_command_renders_digits_and_a_sheet(tmp_path):
    result = call(
        *("--out", tmp_path / "digits", "--sheet", tmp_path / "sheet.png", "--sheet-count", 12),
        *("--num", 60, "--charset", "digits", *ARGUMENTS),
    )
    assert result.returncode == 0, result.stderr
    assert "wrote 60 words" in result.stdout
    data = content(tmp_path / "digits")
    labels = [data[b"label-%09d" % k].decode() for k in range(1, 61)]
    assert all(label.isdigit() for label in labels)
    assert cv2.imread(str(tmp_path / "sheet.png")) is not None


def test_the_command_draws_a_given_word_list_in_all_cases(tmp_path):
    (tmp_path / "words.txt").write_text("вход\nmaß\n", encoding="utf-8")
    words = ["--words", tmp_path / "words.txt", "--words-only"]
    result = call("--out", tmp_path / "out", "--num", 80, *words, *ARGUMENTS)
    assert result.returncode == 0, result.stderr
    assert "families, 2 words (" in result.stdout
    data = content(tmp_path / "out")
    labels = " ".join(data[b"label-%09d" % k].decode() for k in range(1, 81))
    assert all(form in labels for form in ("вход", "ВХОД", "Вход", "aß")), labels


def test_the_command_draws_words_exactly_as_listed(tmp_path):
    (tmp_path / "words.txt").write_text("iPad\nжюк\n", encoding="utf-8")
    words = ["--words", tmp_path / "words.txt", "--as-listed"]
    result = call("--out", tmp_path / "out", "--num", 40, *words, *ARGUMENTS)
    assert result.returncode == 0, result.stderr
    data = content(tmp_path / "out")
    assert {data[b"label-%09d" % k].decode() for k in range(1, 41)} == {"iPad", "жюк"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give --out FOLDER, --sheet FILE.png, or both"),
        (["--out", "x", "--words", "none.txt"], "word list none.txt does not exist"),
        (["--out", "x", "--set", "blur"], "--set takes NAME=NUMBER"),
        (["--out", "x", "--set", "blurr=1"], "no field blurr"),
        (["--out", "x", "--set", "blur=3"], "error: blur must be a range (low, high), got 3.0"),
        (["--out", "x", "--set", "blur_prob=.1,.2"], "error: blur_prob must be one number, got"),
        (["--out", "x", "--set", "kinds=1"], "error: kinds must give a weight to each name"),
        (["--sheet", "x.xyz"], "error: --sheet x.xyz: the file's name must end in .png"),
        (["--out", "x", "--seed", "-1"], "error: --seed must not be negative, got -1"),
    ],
)
def test_bad_arguments_of_the_command_are_refused(capsys, arguments, message, monkeypatch):
    import importlib.util

    spec = importlib.util.spec_from_file_location("render_words_tool", TOOL)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    try:
        code = tool.main(arguments)
    except SystemExit as stop:
        code = stop.code
    assert code != 0
    assert message in capsys.readouterr().err


def test_truncated_rest_of_an_interrupted_run_is_refused(job, tmp_path):
    """LMDB would end the process at the first missing page."""
    with pytest.raises(KeyboardInterrupt):
        job(tmp_path / "out", on_progress=_interrupt)
    data = tmp_path / "out.partial" / "data.mdb"
    os.truncate(data, data.stat().st_size // 2)
    with pytest.raises(FileExistsError, match=r"out\.partial is damaged \(.*cut short.*--restart"):
        job(tmp_path / "out")
    data.write_bytes(os.urandom(20_000))
    with pytest.raises(FileExistsError, match=r"out\.partial is damaged .*--restart"):
        job(tmp_path / "out")
    remove_partial(tmp_path / "out")
    assert job(tmp_path / "out", count=5) is True


def test_lmdb_that_is_open_is_not_called_damaged(job, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        job(tmp_path / "out", on_progress=_interrupt)
    with (
        lmdb.open(str(tmp_path / "out.partial"), readonly=True, lock=False),
        pytest.raises(LMDBDataError, match="already open"),
    ):
        job(tmp_path / "out")
