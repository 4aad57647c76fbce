"""Tests of locks on files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from lpv_mmocr.file_lock import try_lock

import pytest

HOLDER = """
import sys
from lpv_mmocr.file_lock import try_lock
file = open(sys.argv[1], "a")
print(try_lock(file), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Process that tries to lock the file "lock", prints whether it could, and waits."""

    def start() -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(tmp_path / "lock")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])},
        )
        started.append(process)
        return process

    started: list[subprocess.Popen] = []
    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_lock_excludes_other_processes_until_the_holder_is_gone(holder, tmp_path):
    first = holder()
    assert first.stdout.readline() == "True\n"
    with open(tmp_path / "lock", "a") as file:
        assert not try_lock(file)
        first.kill()
        first.wait()
        assert try_lock(file)
        assert holder().stdout.readline() == "False\n"
    assert holder().stdout.readline() == "True\n"


def test_own_lock_does_not_exclude_this_process(tmp_path):
    with open(tmp_path / "lock", "a") as one, open(tmp_path / "lock", "a") as two:
        assert try_lock(one) and try_lock(two)


def test_everything_is_allowed_where_there_are_no_locks(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fcntl", None)
    with open(tmp_path / "lock", "a") as file:
        assert try_lock(file)
