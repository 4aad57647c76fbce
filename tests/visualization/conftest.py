"""Fixtures: a word, and attention that resembles a trained model's."""

from __future__ import annotations

import lpv_mmocr  # noqa: F401  (patches first)

import numpy as np
import pytest
from mmengine.structures import LabelData

POSITIONS = 27


def spots(centres: list[float], grid: tuple[int, int], width: float = 0.02) -> np.ndarray:
    """Return maps (T, h, w) with a spot at x for each character; the other maps are flat."""
    rows, columns = grid
    x = (np.arange(columns) + 0.5) / columns
    maps = np.full((POSITIONS, rows, columns), 1.0)
    for index, centre in enumerate(centres):
        maps[index + 1] = np.exp(-0.5 * ((x - centre) / width) ** 2) + 1e-6
    return (maps / maps.sum((1, 2), keepdims=True)).astype(np.float32)


@pytest.fixture
def make_attention():
    """Return a function that makes attention for one text per stage, letters evenly spaced."""

    def make(*texts: str, grid: tuple[int, int] = (2, 25), glrms: int | None = None) -> LabelData:
        rng = np.random.default_rng(0)
        count = len(texts) - 1 if glrms is None else glrms
        relations = rng.random((count, POSITIONS, POSITIONS)).astype(np.float32)
        return LabelData(
            attn_maps=np.stack(
                [spots([(i + 0.5) / max(len(t), 1) for i in range(len(t))], grid) for t in texts]
            ),
            stage_texts=list(texts),
            stage_scores=[list(np.linspace(0.5, 0.99, max(len(text), 1))) for text in texts],
            relations=relations / relations.sum(-1, keepdims=True),
        )

    return make


@pytest.fixture
def word() -> np.ndarray:
    """Return an RGB image of noise, 30 x 120."""
    return np.random.default_rng(1).integers(0, 256, (30, 120, 3), dtype=np.uint8)
