from __future__ import annotations

from collections import Counter
from itertools import islice

from lpv_mmocr.datasets import (
    ResumableInfiniteSampler,
    SourceShareBatchSampler,
    set_start_iteration,
)
from lpv_mmocr.datasets.samplers import EpochShuffle, divide_batch

import numpy as np
import pytest
from mmengine.runner import Runner
from torch.utils.data import ConcatDataset, DataLoader, SequentialSampler

SIZES = (40, 100, 7)


class Numbers:
    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> int:
        return index


def sources(sizes=SIZES) -> ConcatDataset:
    return ConcatDataset([Numbers(size) for size in sizes])


def batch_sampler(rank=0, world_size=1, batch_size=8, weights=(1, 2, 1), seed=0, **options):
    sampler = ResumableInfiniteSampler(
        sources(), seed=seed, rank=rank, world_size=world_size, **options
    )
    return SourceShareBatchSampler(sampler, batch_size, weights=weights)


def source_of(index: int) -> int:
    return int(np.searchsorted(np.cumsum(SIZES), index, side="right"))


@pytest.mark.parametrize("world_size", [1, 2])
def test_shares_are_exact_in_every_batch(world_size):
    for rank in range(world_size):
        for batch in islice(batch_sampler(rank, world_size), 100):
            assert Counter(map(source_of, batch)) == {0: 2, 1: 4, 2: 2}


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_every_source_keeps_its_own_epochs(world_size):
    samplers = [iter(batch_sampler(rank, world_size)) for rank in range(world_size)]
    drawn = [index for _ in range(120) for sampler in samplers for index in next(sampler)]
    start = 0
    for source, size in enumerate(SIZES):
        stream = [index - start for index in drawn if source_of(index) == source]
        epochs = [stream[i : i + size] for i in range(0, len(stream) - size + 1, size)]
        assert len(epochs) >= 2
        for epoch in epochs:
            assert sorted(epoch) == list(range(size)), "no duplicate, and none left out"
        assert len({tuple(epoch) for epoch in epochs}) == len(epochs), "each in its own order"
        start += size


@pytest.mark.parametrize("world_size", [1, 2])
@pytest.mark.parametrize("start", [1, 13, 77])
def test_resumed_equals_uninterrupted(world_size, start):
    for rank in range(world_size):
        uninterrupted = list(islice(batch_sampler(rank, world_size), start + 40))
        resumed = batch_sampler(rank, world_size)
        resumed.set_start_batch(start)
        assert list(islice(resumed, 40)) == uninterrupted[start:]


def test_order_depends_on_the_seed_only():
    first, same, other = (list(islice(batch_sampler(seed=seed), 5)) for seed in (1, 1, 2))
    assert first == same
    assert first != other


def test_sources_of_equal_size_have_different_orders():
    sampler = ResumableInfiniteSampler(sources((50, 50)), seed=0)
    batch = next(iter(SourceShareBatchSampler(sampler, 100, weights=[1, 1])))
    assert batch[:50] != [index - 50 for index in batch[50:]]


def test_one_sample_is_enough():
    assert list(islice(ResumableInfiniteSampler(Numbers(1), seed=0), 3)) == [0, 0, 0]


def test_sources_are_in_order_without_shuffle():
    batches = batch_sampler(shuffle=False)
    assert list(islice(batches, 4))[3] == [6, 7, 52, 53, 54, 55, 146, 140]


@pytest.mark.parametrize(
    ("batch_size", "weights", "shares"),
    [
        (96, [1, 1, 1], [32, 32, 32]),
        (96, None, [32, 32, 32]),
        (10, [0.1, 0.2, 0.7], [1, 2, 7]),
        (10, [1, 1, 1], [4, 3, 3]),
        (7, [5, 3, 1], [4, 2, 1]),
        (100, [1, 1, 98], [1, 1, 98]),
    ],
)
def test_batch_is_divided_by_weights(batch_size, weights, shares):
    sampler = batch_sampler(batch_size=batch_size, weights=weights)
    assert sampler.shares == shares
    assert sum(shares) == batch_size == len(next(iter(sampler)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(weights=[1, 1]), "2 weights are given for 3 sources"),
        (dict(weights=[1, 0, 1]), "weights must be positive"),
        (dict(weights=[1, float("nan"), 1]), "weights must be positive"),
        (dict(weights=[1, 1, 100]), "a batch of 8 is too small"),
        (dict(batch_size=2), "a batch of 2 is too small"),
        (dict(rank=2, world_size=2), "rank 2 does not exist among 2 processes"),
    ],
)
def test_bad_values_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        batch_sampler(**options)


def test_bad_types_are_refused():
    with pytest.raises(TypeError, match=r"needs a ConcatDataset.* but got Numbers"):
        SourceShareBatchSampler(ResumableInfiniteSampler(Numbers(3), seed=0), 2)
    with pytest.raises(TypeError, match="but got SequentialSampler"):
        SourceShareBatchSampler(SequentialSampler(sources()), 2)


def test_empty_source_is_refused():
    with pytest.raises(ValueError, match="without samples"):
        ResumableInfiniteSampler(Numbers(0), seed=0)


@pytest.mark.parametrize("world_size", [1, 2])
def test_single_source_keeps_its_epochs_and_resumes(world_size):
    samplers = [
        iter(ResumableInfiniteSampler(Numbers(20), seed=0, rank=rank, world_size=world_size))
        for rank in range(world_size)
    ]
    drawn = [next(sampler) for _ in range(60 // world_size) for sampler in samplers]
    epochs = [drawn[i : i + 20] for i in (0, 20, 40)]
    assert all(sorted(epoch) == list(range(20)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    resumed = ResumableInfiniteSampler(Numbers(20), seed=0, rank=0, world_size=world_size)
    resumed.set_start(7)
    assert next(iter(resumed)) == drawn[7 * world_size]


def test_stream_supports_random_access():
    stream = EpochShuffle(size=9, seed=(3,))
    places = stream.take(0, 50)
    assert [stream.take(place, 1)[0] for place in (49, 0, 17, 8, 9)] == [
        places[place] for place in (49, 0, 17, 8, 9)
    ]


def test_length_is_one_epoch_of_one_process():
    assert len(ResumableInfiniteSampler(sources(), seed=0, rank=0, world_size=2)) == 74
    assert len(batch_sampler(world_size=2)) == 10


def build(start: int | None = None, **options) -> DataLoader:
    loader = Runner.build_dataloader(dict(batch_size=8, dataset=sources(), **options), seed=5)
    if start is not None:
        set_start_iteration(loader, start)
    return loader


@pytest.mark.parametrize(
    "options",
    [
        dict(sampler=dict(type="ResumableInfiniteSampler")),
        dict(
            sampler=dict(type="ResumableInfiniteSampler"),
            batch_sampler=dict(type="SourceShareBatchSampler", weights=[1, 2, 1]),
        ),
    ],
    ids=["one source", "shares"],
)
@pytest.mark.parametrize("workers", [0, 2])
def test_data_loaders_from_configs_resume(options, workers):
    uninterrupted = list(islice(build(**options, num_workers=workers), 30))
    assert all(len(batch) == 8 for batch in uninterrupted)
    resumed = build(20, **options, num_workers=0)
    assert list(islice(resumed, 10)) == uninterrupted[20:]


def test_data_loader_that_cannot_resume_is_refused():
    with pytest.raises(TypeError, match="SequentialSampler cannot begin in the middle"):
        set_start_iteration(DataLoader(Numbers(3)), 1)


def test_empty_weights_are_refused():
    with pytest.raises(ValueError, match="cannot be divided without weights"):
        divide_batch(8, [])
