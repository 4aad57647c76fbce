"""Tests of ``_environment.sh``, which quickstart.sh and run_tests.sh source."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "_environment.sh"


def bash(code: str, script: Path = SCRIPT, **variables: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["bash", "-c", f"set -euo pipefail; source {shlex.quote(str(script))}; {code}"],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
    )


@pytest.fixture
def old_python(tmp_path) -> Path:
    """Path of a stub that the script takes for Python 3.8."""
    stub = tmp_path / "old" / "python3"
    stub.parent.mkdir()
    stub.write_text('#!/bin/sh\ncase "$2" in *version_info*) exit 1;; *) echo 3.8.1;; esac\n')
    stub.chmod(0o755)
    return stub


class TestInterpreter:
    def test_requested_interpreter_is_used(self):
        result = bash("find_python", LPV_PYTHON=sys.executable)
        assert result.stdout.strip() == sys.executable

    def test_requested_interpreter_that_is_too_old_is_rejected(self, old_python):
        result = bash("find_python", LPV_PYTHON=str(old_python))
        assert result.returncode == 1
        assert result.stderr == (
            f"error: LPV_PYTHON={old_python} is Python 3.8.1; 3.10 or newer is needed\n"
        )

    def test_requested_interpreter_that_is_missing_is_rejected(self):
        result = bash("find_python", LPV_PYTHON="/no/such/python")
        assert result.returncode == 1
        assert "LPV_PYTHON=/no/such/python is not a Python interpreter" in result.stderr

    def test_old_interpreter_alone_is_an_error(self, old_python):
        result = bash(f"PATH={old_python.parent}; find_python", LPV_PYTHON="")
        assert result.returncode == 1
        assert "Python 3.10 or newer is needed; found 3.8.1" in result.stderr

    def test_newer_interpreter_is_found_after_an_old_one(self, old_python):
        (old_python.parent / "python3.12").symlink_to(sys.executable)
        result = bash(f"PATH={old_python.parent}; find_python", LPV_PYTHON="")
        assert result.stdout.strip() == "python3.12"


@pytest.fixture
def checkout(tmp_path) -> Path:
    """Minimal checkout whose ``cv2`` is an empty module."""
    root = tmp_path / "checkout"
    (root / "tools").mkdir(parents=True)
    shutil.copy(SCRIPT, root / "tools")
    (root / "pyproject.toml").write_text('[build-system]\nrequires = ["setuptools>=64"]\n')
    (root / "setup.py").write_text(
        "from setuptools import setup\nsetup(name='nothing', version='1', py_modules=['cv2'])\n"
    )
    (root / "cv2.py").touch()
    (root / "lock.txt").write_text("# nothing\n")
    return root


@pytest.mark.slow
def test_environment_is_created_reused_and_repaired(checkout):
    def prepare() -> str:
        result = bash(
            'prepare_environment "$root/lock.txt"; "$python" -c "import cv2"',
            checkout / "tools" / SCRIPT.name,
            LPV_PYTHON=sys.executable,
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    venv = checkout / ".venv"
    assert "Making a virtual environment" in prepare()
    assert prepare() == f"Environment: {venv} (unchanged)\n"

    # Stamp of the additional test requirements, installed with the same lock file.
    besides = venv / ".lpv-installed.2"
    base = (venv / ".lpv-installed.1").read_text().splitlines()[0]
    besides.write_text(f"{base}\nand more\n")
    (venv / ".lpv-installed.1").unlink()
    assert "Installing" in prepare()
    assert besides.is_file()

    (checkout / "lock.txt").write_text("# something else\n")
    output = prepare()
    assert "Installing" in output
    assert "Making" not in output
    assert not besides.exists()  # the packages it stands for may be gone

    # State after a first run that was interrupted while installing pip.
    for folder in (venv / "lib").glob("*/site-packages/pip"):
        shutil.rmtree(folder)
    (venv / ".lpv-installed.1").unlink()
    assert "Making a virtual environment" in prepare()


def test_foreign_environment_without_pip_is_left_alone(checkout):
    mine = checkout / ".venv" / "bin" / "mine"
    mine.parent.mkdir(parents=True)
    mine.touch()
    code = "python=$venv/bin/python; make_venv"
    result = bash(code, checkout / "tools" / SCRIPT.name, LPV_PYTHON=sys.executable)
    assert result.returncode == 1
    assert "has no pip, and was not made by this script: delete it" in result.stderr
    assert mine.is_file()


@pytest.mark.slow
def test_failed_installation_is_reported_and_repeated(checkout):
    (checkout / "lock.txt").write_text("./no-such-package\n")
    for _ in range(2):
        result = bash(
            'prepare_environment "$root/lock.txt"',
            checkout / "tools" / SCRIPT.name,
            LPV_PYTHON=sys.executable,
        )
        assert result.returncode == 1
        assert "no-such-package" in result.stderr
        assert "pip install" in result.stderr
        assert not list(checkout.glob(".venv/.lpv-installed*"))


@pytest.mark.parametrize("argument", ["--help", "surprise"])
def test_quickstart_shows_its_usage(argument):
    result = subprocess.run(
        ["bash", SCRIPT.with_name("quickstart.sh"), argument], capture_output=True, text=True
    )
    assert result.returncode == (0 if argument == "--help" else 2)
    assert "bash tools/quickstart.sh" in result.stdout
