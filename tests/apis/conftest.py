"""Toy recogniser shared by the inference tests."""

from __future__ import annotations

import pytest
from inference_cases import write_toy
from mmengine.registry import init_default_scope
from mmocr.apis import TextRecInferencer


@pytest.fixture(scope="session", autouse=True)
def _mmocr_scope():
    init_default_scope("mmocr")


@pytest.fixture(scope="session")
def toy(tmp_path_factory):
    """Paths of the toy's config and checkpoint."""
    return write_toy(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="session")
def reader(toy):
    return TextRecInferencer(weights=str(toy[1]), device="cpu")
