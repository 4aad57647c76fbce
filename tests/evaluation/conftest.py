"""Fixtures of the tests of the evaluation."""

from __future__ import annotations

import lpv_mmocr.evaluation  # noqa: F401  (before mmocr: patches and registers)
from lpv_mmocr.datasets import close_environments

import pytest
from mmengine.registry import init_default_scope


@pytest.fixture(scope="session", autouse=True)
def _mmocr_scope():
    """Resolve types without a prefix as MMOCR's, as in its configs."""
    init_default_scope("mmocr")


@pytest.fixture(autouse=True)
def _private_environments():
    close_environments()
    yield
    close_environments()
