"""Tests of the backend that MMEngine writes through; tests of ``atomic_files`` cover atomicity."""

from __future__ import annotations

from lpv_mmocr import atomic_files
from lpv_mmocr.engine import AtomicLocalBackend
from lpv_mmocr.engine.atomic_file_backend import ATOMIC_BACKEND

import pytest
from checkpoint_cases import FailingDisk
from mmengine import fileio


def test_backend_writes_bytes_and_text(tmp_path):
    backend = AtomicLocalBackend()
    backend.put(b"\x00\x01", tmp_path / "new" / "a.bin")
    backend.put_text("ä\n", tmp_path / "b.txt")
    assert (tmp_path / "new" / "a.bin").read_bytes() == b"\x00\x01"
    assert (tmp_path / "b.txt").read_text(encoding="utf-8") == "ä\n"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.bin", "b.txt", "new"]


def test_failed_write_through_mmengine_keeps_the_old_file(tmp_path, monkeypatch):
    file = tmp_path / "file"
    fileio.put(b"old", file, backend_args=dict(backend=ATOMIC_BACKEND))
    monkeypatch.setattr(atomic_files, "os", FailingDisk())
    with pytest.raises(OSError, match="No space left"):
        fileio.put(b"newer", file, backend_args=dict(backend=ATOMIC_BACKEND))
    assert file.read_bytes() == b"old"
