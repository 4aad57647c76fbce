"""Shared fixtures of the dataset tests."""

from __future__ import annotations

import lpv_mmocr  # noqa: F401  (before mmocr: patches what it needs)
from lpv_mmocr.datasets import close_environments

import pytest
from mmengine.registry import init_default_scope


@pytest.fixture(scope="session", autouse=True)
def _mmocr_scope():
    """Resolve types without a prefix in MMOCR's scope, as its configs do."""
    init_default_scope("mmocr")


@pytest.fixture(autouse=True)
def _private_environments(tmp_path, monkeypatch):
    """Start every test without open LMDB files and with its own cache folder."""
    close_environments()
    monkeypatch.delenv("LPV_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield
    close_environments()


@pytest.fixture
def log_lines(monkeypatch):
    """Return the list of messages that the data code writes to MMEngine's log."""
    lines: list[str] = []

    def record(message, logger=None, level=20):
        lines.append(message)

    for module in ("bad_samples", "lmdb_index"):
        monkeypatch.setattr(f"lpv_mmocr.datasets.{module}.print_log", record)
    return lines
