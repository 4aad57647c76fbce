"""Tests of reproducible random numbers."""

from __future__ import annotations

import pickle
import random

from lpv_mmocr.engine.random_state import seeded
from lpv_mmocr.engine.reproducible_batches import NumberedBatch, SeededDataset

import numpy as np
import pytest
import torch
from mmocr.registry import TRANSFORMS


def drawn() -> list[float]:
    return [random.random(), float(np.random.rand()), float(torch.rand(()))]  # noqa: NPY002


def test_equal_seeds_draw_equally_and_keep_the_global_state():
    torch.manual_seed(3)
    expected = float(torch.rand(()))
    torch.manual_seed(3)
    found = []
    for entropy in ((1, 2), (1, 2), (2, 1)):
        with seeded(*entropy):
            found.append(drawn())
    assert found[0] == found[1]
    assert not {*found[0]} & {*found[2]}
    assert float(torch.rand(())) == expected


def test_global_state_is_restored_after_an_error():
    state = torch.get_rng_state()
    with pytest.raises(ArithmeticError), seeded(1):
        raise ArithmeticError
    assert torch.equal(torch.get_rng_state(), state)


class Drawing:
    """Dataset whose samples are random numbers."""

    def __getitem__(self, index: int) -> float:
        return float(np.random.rand())  # noqa: NPY002


def test_batches_are_determined_by_seed_process_and_iteration():
    places = [(seed, rank, iteration) for seed in (5, 6) for rank in (0, 1) for iteration in (0, 1)]
    found = []
    for seed, rank, iteration in places + places:
        # As in a worker process that was not forked.
        dataset = pickle.loads(pickle.dumps(SeededDataset(Drawing(), seed=seed, rank=rank)))
        found.append(tuple(dataset.__getitems__(NumberedBatch(iteration, [0, 1]))))
    assert found[:8] == found[8:]
    assert len({number for batch in found for number in batch}) == 16


def test_mmocr_augmentations_are_reproducible():
    pytest.importorskip("imgaug", reason="MMOCR's ImgAugWrapper needs imgaug")
    noisy = TRANSFORMS.build(dict(type="ImgAugWrapper", args=[["AdditiveGaussianNoise", (0, 99)]]))
    images = []
    for _ in range(2):
        with seeded(1, 0, 5):
            results = dict(img=np.full((8, 8, 3), 127, np.uint8), img_shape=(8, 8))
            images.append(noisy(results)["img"])
    assert images[0].std() > 0
    np.testing.assert_array_equal(*images)
