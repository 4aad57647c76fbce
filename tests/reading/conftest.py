"""Toy reader, and images for it."""

from __future__ import annotations

from pathlib import Path

from lpv_mmocr.reading import WordReader

import cv2
import numpy as np
import pytest
from apis.inference_cases import write_toy
from mmengine.registry import init_default_scope


@pytest.fixture(scope="session")
def toy(tmp_path_factory) -> tuple[Path, Path]:
    """Paths of a toy's config and of its checkpoint, which contains the config."""
    init_default_scope("mmocr")
    return write_toy(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="session")
def reader(toy) -> WordReader:
    return WordReader(toy[1], device="cpu", batch_size=2)


@pytest.fixture
def words(tmp_path) -> list[str]:
    """Files of three images that the toy reads differently."""
    files = []
    for number in range(3):
        image = np.full((20, 60, 3), 40, np.uint8)
        image[:, 10 * number : 20 + 15 * number] = (250, 40 * number, 9)
        files.append(str(tmp_path / f"word{number}.png"))
        cv2.imwrite(files[-1], image)
    return files
