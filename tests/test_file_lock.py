"""Tests of locks on files."""

from __future__ import annotations

import os
import subprocess
import sys

from lpv_mmocr import file_lock
from lpv_mmocr.file_lock import only_process, open_locked, try_lock

import pytest

# Runs the module by itself: importing the package would take seconds.
HOLDER = """
import runpy, sys
file = open(sys.argv[1], "a")
print(runpy.run_path(sys.argv[2])["try_lock"](file), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Process that tries to lock the file "lock", prints whether it could, and waits."""

    def start() -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(tmp_path / "lock"), file_lock.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
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


class TestOpenLocked:
    def test_content_is_kept(self, tmp_path):
        (tmp_path / "lock").write_text("a")
        with open_locked(tmp_path / "lock") as file:
            file.write("b")
        assert (tmp_path / "lock").read_text() == "ab"

    def test_file_of_another_process_is_not_opened(self, holder, tmp_path):
        assert holder().stdout.readline() == "True\n"
        assert open_locked(tmp_path / "lock") is None

    @pytest.mark.parametrize("leave", [lambda path: path.unlink(), lambda path: path.rename("x")])
    def test_file_that_its_owner_has_just_left_is_opened_anew(self, tmp_path, monkeypatch, leave):
        """Between opening and locking, the owner renamed or deleted it: that file is another's."""
        path = tmp_path / "lock"
        monkeypatch.chdir(tmp_path)
        path.write_text("results")
        locks = []

        def lock(file) -> bool:
            if not locks:
                leave(path)
            locks.append(file.fileno())
            return True

        monkeypatch.setattr(file_lock, "try_lock", lock)
        with open_locked(path) as file:
            file.truncate(0)
            assert len(locks) == 2
            assert os.path.samestat(os.fstat(file.fileno()), path.stat())
        assert not (tmp_path / "x").exists() or (tmp_path / "x").read_text() == "results"


class TestOnlyProcess:
    def test_another_process_is_refused(self, holder, tmp_path):
        other = holder()
        assert other.stdout.readline() == "True\n"
        with (
            pytest.raises(FileExistsError, match="not now"),
            only_process(tmp_path / "lock", "not now"),
        ):
            pytest.fail("let in")
        assert (tmp_path / "lock").exists()

    def test_file_exists_within_the_block_only(self, holder, tmp_path):
        for _ in range(2):
            with pytest.raises(ZeroDivisionError), only_process(tmp_path / "lock", ""):
                assert holder().stdout.readline() == "False\n"
                raise ZeroDivisionError
            assert not (tmp_path / "lock").exists()
