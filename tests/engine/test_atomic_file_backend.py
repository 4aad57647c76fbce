"""A file is whole or not there."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import lpv_mmocr.engine.atomic_file_backend as atomic
from lpv_mmocr.engine import AtomicLocalBackend

import pytest
from checkpoint_cases import FailingDisk


def test_backend_writes_bytes_and_text(tmp_path):
    backend = AtomicLocalBackend()
    backend.put(b"\x00\x01", tmp_path / "new" / "a.bin")
    backend.put_text("ä\n", tmp_path / "b.txt")
    assert (tmp_path / "new" / "a.bin").read_bytes() == b"\x00\x01"
    assert (tmp_path / "b.txt").read_text(encoding="utf-8") == "ä\n"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.bin", "b.txt", "new"]


def test_backend_keeps_the_old_file_on_a_full_disk(tmp_path, monkeypatch):
    backend = AtomicLocalBackend()
    backend.put(b"old", tmp_path / "file")
    monkeypatch.setattr(atomic, "os", FailingDisk())
    with pytest.raises(OSError, match="No space left"):
        backend.put(b"newer", tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_backend_keeps_the_old_file_when_a_file_may_not_grow(tmp_path):
    """A real refusal of the operating system in the middle of the data."""
    import resource

    AtomicLocalBackend().put(b"old", tmp_path / "file")
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            AtomicLocalBackend().put(bytes(5000), tmp_path / "file")
        except OSError as error:
            os._exit(error.errno)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == errno.EFBIG
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


def test_backend_syncs_before_it_renames(tmp_path, monkeypatch):
    events = []

    class Watched(FailingDisk):
        def fsync(self, descriptor):
            events.append(("sync", os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}"))))

    original = Path.replace
    monkeypatch.setattr(atomic, "os", Watched())
    monkeypatch.setattr(
        Path, "replace", lambda a, b: (events.append(("name", a.name)), original(a, b))[1]
    )
    AtomicLocalBackend().put(b"x", tmp_path / "f")
    assert events == [("sync", "f.partial"), ("name", "f.partial"), ("sync", tmp_path.name)]
