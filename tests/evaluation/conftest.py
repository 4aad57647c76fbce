"""What every test of the evaluation starts from."""

from __future__ import annotations

import lpv_mmocr.evaluation  # noqa: F401  (before mmocr: mends what it needs, and registers)
from lpv_mmocr.datasets import close_environments

import pytest
from mmengine.registry import init_default_scope


@pytest.fixture(scope="session", autouse=True)
def _mmocr_scope():
    """Types without a prefix are MMOCR's, as in its configs."""
    init_default_scope("mmocr")


@pytest.fixture(autouse=True)
def _private_environments():
    close_environments()
    yield
    close_environments()
