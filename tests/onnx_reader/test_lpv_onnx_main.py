"""Tests of the command with only its own dependencies."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
from apis.inference_cases import noise
from onnx_reader.encoded_images import encode

import lpv_onnx
from lpv_onnx.__main__ import main

ROOT = Path(__file__).resolve().parents[2]
BLOCKED = ("torch", "mmocr", "mmengine", "mmcv", "lpv_mmocr", "cv2", "onnx", "torchvision")


@pytest.fixture
def alone(tmp_path):
    """Return a function that runs Python with only a copy of the package; others are blocked."""
    shutil.copytree(ROOT / "lpv_onnx", tmp_path / "lpv_onnx")
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Blocked:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] in {BLOCKED!r}:\n"
        "            raise ImportError(f'{name} is blocked')\n"
        "sys.meta_path.insert(0, Blocked())\n"
    )

    def run(*arguments: object) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=tmp_path,
            env={
                **os.environ,
                "PYTHONPATH": str(tmp_path),
                "OMP_NUM_THREADS": "1",
                "PYTHONUNBUFFERED": "",  # as for most users: output is flushed at the end
            },
            capture_output=True,
            text=True,
        )

    return run


class TestAlone:
    def test_blocked_packages_cannot_be_imported(self, alone):
        for name in ("torch", "lpv_mmocr", "mmocr"):
            assert f"{name} is blocked" in alone("-c", f"import {name}").stderr

    def test_command_prints_readings_and_errors(self, alone, reader, model_file, tmp_path):
        cv2.imwrite(str(tmp_path / "a.png"), noise())
        (tmp_path / "b.png").write_text("no image")
        options = ["--threads", 1, "--no-tta"]
        result = alone("-m", "lpv_onnx", model_file, "a.png", "b.png", *options)
        assert result.returncode == 1
        reading = reader(noise())[0]
        assert result.stdout == f"a.png\t{reading.text}\t{reading.confidence:.4f}\n"
        assert result.stderr.startswith(
            "b.png cannot be read: it is not an image, or a damaged one"
        )

    def test_package_can_be_run_by_its_path(self, alone, model_file, tmp_path):
        cv2.imwrite(str(tmp_path / "a.png"), noise())
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "lpv_onnx").rename(tmp_path / "elsewhere" / "lpv_onnx")
        for path in ("elsewhere/lpv_onnx", "elsewhere/lpv_onnx/"):
            result = alone(path, model_file, "a.png", "--threads", 1)
            assert result.returncode == 0, result.stderr
            assert result.stdout.startswith("a.png\t")

    def test_tta_raises_the_confidence(self, alone, model_file, tmp_path):
        cv2.imwrite(str(tmp_path / "a.png"), noise(40, 30))
        again, once = (
            alone("-m", "lpv_onnx", model_file, "a.png", "--json", "--threads", 1, *options)
            for options in ([], ["--no-tta"])
        )
        for result in (again, once):
            assert result.returncode == 0, result.stderr
        # With random weights the first reading is not confident, and one of seven looks is more so.
        assert json.loads(again.stdout)["confidence"] > json.loads(once.stdout)["confidence"]

    def test_json_has_readings_and_errors(self, alone, reader, model_file, tmp_path):
        cv2.imwrite(str(tmp_path / "a.png"), noise())
        options = ["--json", "--threads", 1, "--no-tta"]
        result = alone("-m", "lpv_onnx", model_file, "a.png", "b.png", *options)
        assert result.returncode == 1, result.stderr
        row, missing = map(json.loads, result.stdout.splitlines())
        assert (missing["path"], missing["text"]) == ("b.png", None)
        assert missing["error"] == "No such file or directory"
        assert row["text"] == reader(noise())[0].text
        assert row["path"] == "a.png"
        assert len(row["scores"]) == len(row["text"])

    def test_file_names_need_not_be_valid_unicode(self, alone, model_file, tmp_path):
        name = os.fsdecode(b"caf\xe9.png")
        (tmp_path / name).write_bytes(encode(noise()))
        for options in ([], ["--json"]):
            result = alone("-m", "lpv_onnx", model_file, name, *options)
            assert result.returncode == 0, result.stderr
            assert "caf\\udce9.png" in result.stdout

    def test_control_characters_in_names_are_escaped(self, alone, model_file, tmp_path):
        names = "good\x1b[31m\n.png", "bad\x1b[31m\n.png"
        (tmp_path / names[0]).write_bytes(encode(noise()))
        (tmp_path / names[1]).write_text("no image")
        result = alone("-m", "lpv_onnx", model_file, *names)
        assert result.stdout.startswith("good\\x1b[31m\\n.png\t")
        assert result.stderr.startswith("bad\\x1b[31m\\n.png cannot be read: it is not an image")
        assert len(result.stderr.splitlines()) == 1

    def test_closed_output_pipe_ends_the_command_quietly(self, alone, model_file, tmp_path):
        (tmp_path / "a.png").write_bytes(encode(noise()))
        code = (
            "import os, sys; from lpv_onnx.__main__ import main; "
            "end, out = os.pipe(); os.close(end); os.dup2(out, 1); sys.exit(main(sys.argv[1:]))"
        )
        result = alone("-c", code, model_file, "a.png")
        assert (result.returncode, result.stderr) == (141, "")

    @pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
    def test_closed_streams_are_no_obstacle(self, alone, model_file, tmp_path):
        (tmp_path / "a.png").write_bytes(encode(noise()))
        code = "import os; os.execvp('sh', ['sh', '-c', 'exec \"$@\" {0}', 'sh', *{1!r}])"
        arguments = [sys.executable, "-m", "lpv_onnx", str(model_file), "gone.png", "a.png"]
        for closed in (">&-", "2>&-", "<&- >&- 2>&-"):
            result = alone("-c", code.format(closed, arguments))
            assert result.returncode == 1
            assert "Traceback" not in result.stderr
            lines = result.stdout.splitlines()
            assert [line.partition("\t")[0] for line in lines] == ["a.png"] * (closed == "2>&-")

    def test_json_is_valid_in_any_encoding(self, alone, model_file, tmp_path, monkeypatch):
        monkeypatch.setenv("PYTHONIOENCODING", "ascii")
        (tmp_path / "wörd \N{GRINNING FACE}.png").write_bytes(encode(noise()))
        result = alone("-m", "lpv_onnx", model_file, "wörd \N{GRINNING FACE}.png", "--json")
        assert json.loads(result.stdout)["path"] == "wörd \N{GRINNING FACE}.png"

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has /dev/full")
    def test_full_disk_is_an_error(self, alone, model_file, tmp_path):
        (tmp_path / "a.png").write_bytes(encode(noise()))
        code = (
            "import os, sys; from lpv_onnx.__main__ import main; "
            "os.dup2(os.open('/dev/full', os.O_WRONLY), 1); sys.exit(main(sys.argv[1:]))"
        )
        result = alone("-c", code, model_file, "a.png")
        assert result.returncode == 2
        assert result.stderr == "error: [Errno 28] No space left on device\n"

    @pytest.mark.parametrize("method", ["__init__", "iterate"])
    def test_ctrl_c_exits_with_code_130(self, model_file, monkeypatch, method):
        def interrupt(*args, **options):
            raise KeyboardInterrupt

        monkeypatch.setattr(lpv_onnx.Reader, method, interrupt)
        assert main([str(model_file), "a.png"]) == 130

    def test_missing_model_file_is_an_error(self, alone, model_file):
        result = alone("-m", "lpv_onnx", "none.onnx", "a.png")
        assert (result.returncode, result.stdout) == (2, "")
        assert result.stderr == "error: there is no model file none.onnx\n"
