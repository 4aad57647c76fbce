"""Tests of ``lpv-mmocr check``; the checks themselves: ``test_self_check.py``."""

from __future__ import annotations

import errno
import io
import logging
import re
import sys
import textwrap
from pathlib import Path

from lpv_mmocr import compat, self_check
from lpv_mmocr.self_check import Outcome

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOL = "analysis_tools/check_installation.py"


@pytest.fixture
def check(tool_in_process, monkeypatch):
    monkeypatch.setattr(self_check, "available_devices", lambda: ["cpu"])
    return tool_in_process(TOOL)


@pytest.mark.slow
def test_all_checks_pass_here(check, capsys):
    assert check() == 0
    assert logging.root.manager.disable == logging.NOTSET
    output = capsys.readouterr().out
    lines = output.splitlines()
    assert re.match(r"lpv-mmocr \S+ on .*, Python 3\.", lines[0])
    for line in (
        r"  torch +torch 2\.",
        r"  cv2 +opencv-python",
        r"  mmcv +mmcv",
        r"  cpu +\S+.*core",
    ):
        assert re.search(f"^{line}", output, re.MULTILINE), line
    patched = [line.split(maxsplit=1)[1] for line in lines if line.startswith("  patched")]
    assert patched == list(compat.apply())
    assert [line.partition(":")[0] for line in lines if not line.startswith(" ")][1:] == [
        "ok      bundled checkpoints",
        "ok      reading on cpu",
        "ok      reading on cpu, deployed in fp32",
        "ok      reading on cpu, deployed in bf16",
        "ok      training on cpu",
        "All checks passed.",
    ]


def test_failed_check_sets_the_exit_status(check, capsys, monkeypatch):
    found = [Outcome("a", "well", failed=False), Outcome("b", "bad", failed=True)]
    monkeypatch.setattr(self_check, "self_check", lambda devices: iter(found))
    assert check() == 1
    assert capsys.readouterr().out.endswith("ok      a: well\nFAILED  b: bad\n1 failed\n")


def test_missing_device_is_rejected(check, capsys):
    assert check("--device", "cuda:7") == 2
    assert "error: the device 'cuda:7' cannot be used" in capsys.readouterr().err


def test_only_the_named_device_is_checked(check, capsys, monkeypatch):
    asked = []
    monkeypatch.setattr(self_check, "available_devices", lambda: ["cpu", "cuda:0"])
    monkeypatch.setattr(self_check, "self_check", lambda devices: asked.extend(devices) or iter(()))
    assert check("--device", "cpu") == 0
    assert asked == ["cpu"]


def test_versions_are_listed_if_the_package_cannot_be_imported(run_tool, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        textwrap.dedent(
            """
            import importlib.util
            find = importlib.util.find_spec
            importlib.util.find_spec = lambda name, *a: None if name == "mmdet" else find(name, *a)
            """
        )
    )
    paths = f"{tmp_path}:{ROOT}"
    result = run_tool(sys.executable, ROOT / "tools" / TOOL, PYTHONPATH=paths)
    assert result.returncode == 1, result.stderr
    assert "  torch        torch 2." in result.stdout
    last = result.stdout.splitlines()[-1]
    assert last.startswith(
        "FAILED  importing lpv_mmocr: ModuleNotFoundError: lpv_mmocr needs mmdet"
    )
    assert "pip install 'lpv-mmocr[lite]'" in last


def test_modules_of_no_or_several_distributions_are_listed(load_tool, monkeypatch):
    tool = load_tool(TOOL)
    brought = {"cv2": ["opencv-python-headless", "opencv-python", "opencv-python"]}
    monkeypatch.setattr(tool.importlib.metadata, "packages_distributions", lambda: brought)
    absent = tool.importlib.metadata.PackageNotFoundError

    def version(name):
        if name in ("torch", "gradio"):
            raise absent
        return "1.0"

    monkeypatch.setattr(tool.importlib.metadata, "version", version)
    found = dict(tool.installed())
    assert found["cv2"] == "opencv-python 1.0, opencv-python-headless 1.0"
    assert found["numpy"] == "numpy 1.0", "Python 3.10 finds its version only"
    assert found["torch"] == "not installed"
    assert found["gradio"] == "not installed (pip install 'lpv-mmocr[demo]')"


def test_each_extra_requires_its_module(load_tool):
    tool = load_tool(TOOL)
    for module, extra in tool.OPTIONAL.items():
        required = (ROOT / "requirements" / f"{extra}.txt").read_text()
        assert re.search(rf"^{module}\b", required, re.MULTILINE)


def test_full_disk_is_an_error(load_tool, monkeypatch, capsys):
    tool = load_tool(TOOL)
    monkeypatch.setattr("lpv_onnx.standard_streams.discard_output", lambda: None)

    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("sys.stdout", Full())
    assert tool.main([]) == 2
    assert capsys.readouterr().err == "error: [Errno 28] No space left on device\n"


def test_closed_pipe_is_not_a_failed_check(load_tool, close_pipe):
    close_pipe()
    assert load_tool(TOOL).main([]) == 141
