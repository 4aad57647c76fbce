"""Infinite samplers that resume at any iteration, with exact proportions of several sources.

MMEngine's ``InfiniteSampler`` and MMDetection's ``MultiSourceSampler`` are generators: to resume
they must draw everything that was drawn before, and they turn each epoch into a Python list, some
300 MB for nine million words. Here the sample at any position of the infinite stream is computed
from that position alone, so resuming is free and an epoch costs four bytes per sample.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence, Sized

import numpy as np
from mmengine.dist import get_dist_info, sync_random_seed
from mmocr.registry import DATA_SAMPLERS
from torch.utils.data import DataLoader, Sampler


class EpochShuffle:
    """Infinite stream over one source: epoch after epoch, each in its own order.

    Args:
        size: Number of samples of the source.
        seed: Seed of the orders, combined with the epoch.
        shuffle: Whether to shuffle at all.
    """

    def __init__(self, *, size: int, seed: Sequence[int], shuffle: bool = True) -> None:
        if size < 1:
            raise ValueError("cannot sample from a source without samples")
        self.size = size
        self._seed = tuple(seed)
        self._shuffle = shuffle
        self._epoch = -1
        self._order: np.ndarray | None = None

    def take(self, start: int, count: int) -> list[int]:
        """Return the samples at ``count`` consecutive positions of the stream.

        Args:
            start: First position, counted from 0 at the beginning of training.
            count: Number of positions.

        Returns:
            Sample indices within the source.
        """
        places = start + np.arange(count)
        if not self._shuffle:
            return (places % self.size).tolist()
        epochs, offsets = np.divmod(places, self.size)
        return [int(self._order_of(e)[o]) for e, o in zip(epochs, offsets, strict=True)]

    def _order_of(self, epoch: int) -> np.ndarray:
        if epoch != self._epoch:
            order = np.arange(self.size, dtype=np.int32 if self.size < 2**31 else np.int64)
            np.random.default_rng((*self._seed, int(epoch))).shuffle(order)
            self._epoch, self._order = epoch, order
        return self._order


def _resolve(seed: int | None, rank: int | None, world_size: int | None) -> tuple[int, int, int]:
    """Fill in missing arguments from the distributed environment."""
    actual_rank, actual_world_size = get_dist_info()
    rank = actual_rank if rank is None else rank
    world_size = actual_world_size if world_size is None else world_size
    if not 0 <= rank < world_size:
        raise ValueError(f"rank {rank} does not exist among {world_size} processes")
    return sync_random_seed() if seed is None else seed, rank, world_size


@DATA_SAMPLERS.register_module()
class ResumableInfiniteSampler(Sampler):
    """Infinite sampler over one dataset; each process takes every ``world_size``-th sample.

    Args:
        dataset: Dataset to sample from.
        shuffle: Whether to shuffle each epoch.
        seed: Seed of the order, the same in every process; ``None`` draws one for all processes.
        rank: Rank of this process; ``None`` takes it from the distributed environment.
        world_size: Number of processes; ``None`` takes it from the distributed environment.
    """

    def __init__(
        self,
        dataset: Sized,
        *,
        shuffle: bool = True,
        seed: int | None = None,
        rank: int | None = None,
        world_size: int | None = None,
    ) -> None:
        self.dataset = dataset
        self.shuffle = shuffle
        self.seed, self.rank, self.world_size = _resolve(seed, rank, world_size)
        self._stream = EpochShuffle(size=len(dataset), seed=(self.seed,), shuffle=shuffle)
        self._start = 0

    def set_start(self, num_samples: int) -> None:
        """Start the next iterator after the samples that this process has already used.

        Args:
            num_samples: Number of these samples.
        """
        self._start = num_samples

    def __iter__(self) -> Iterator[int]:
        """Yield positions in the dataset, without end."""
        for drawn in itertools.count(self._start):
            yield from self._stream.take(drawn * self.world_size + self.rank, 1)

    def __len__(self) -> int:
        """Return the number of samples of one epoch in this process."""
        return math.ceil(len(self.dataset) / self.world_size)


@DATA_SAMPLERS.register_module()
class SourceShareBatchSampler(Sampler):
    """Batch sampler with a fixed number of samples of each source in every batch.

    The sources are the datasets of a ``ConcatDataset``. Each runs through its own epochs at its own
    pace: no sample is repeated, in any process, before all others of its source have been used. In
    a config::

        train_dataloader = dict(
            batch_size=96,
            dataset=dict(type="ConcatDataset", datasets=[mj, st]),
            sampler=dict(type="ResumableInfiniteSampler"),
            batch_sampler=dict(type="SourceShareBatchSampler", weights=[1, 1]))

    Args:
        sampler: Sampler that provides the dataset, seed, shuffle setting, rank and world size; its
            own order of samples is not used.
        batch_size: Number of samples per batch in each process.
        weights: One weight per source; its fraction of their sum is the source's fraction of every
            batch, rounded so that no source is more than one sample off. Equal when ``None``.

    Attributes:
        shares: Number of samples of each source in every batch.

    Raises:
        TypeError: If the dataset is not a concatenation of others.
        ValueError: If the weights do not match the sources, or leave one of them without a sample.
    """

    def __init__(
        self,
        sampler: ResumableInfiniteSampler,
        batch_size: int,
        *,
        weights: Sequence[float] | None = None,
    ) -> None:
        if not isinstance(sampler, ResumableInfiniteSampler):
            raise TypeError(
                "SourceShareBatchSampler needs sampler=dict(type='ResumableInfiniteSampler'), "
                f"but got {type(sampler).__name__}"
            )
        dataset = sampler.dataset
        if not hasattr(dataset, "cumulative_sizes"):
            raise TypeError(
                "SourceShareBatchSampler needs a ConcatDataset, whose datasets are the sources, "
                f"but got {type(dataset).__name__}"
            )
        self._offsets = [0, *dataset.cumulative_sizes[:-1]]
        sizes = np.diff([0, *dataset.cumulative_sizes]).tolist()
        self.batch_size = batch_size
        weights = [1] * len(sizes) if weights is None else weights
        if len(weights) != len(sizes):
            raise ValueError(f"{len(weights)} weights are given for {len(sizes)} sources")
        self.shares = divide_batch(batch_size, weights)
        self.sampler = sampler
        self._streams = [
            EpochShuffle(size=size, seed=(sampler.seed, source), shuffle=sampler.shuffle)
            for source, size in enumerate(sizes)
        ]
        self._start = 0

    def set_start_batch(self, num_batches: int) -> None:
        """Start the next iterator after the batches that this process has already used.

        Args:
            num_batches: Number of these batches.
        """
        self._start = num_batches

    def __iter__(self) -> Iterator[list[int]]:
        """Yield batches of positions in the concatenated dataset, without end."""
        for iteration in itertools.count(self._start):
            block = iteration * self.sampler.world_size + self.sampler.rank
            yield [
                offset + index
                for offset, stream, share in zip(
                    self._offsets, self._streams, self.shares, strict=True
                )
                for index in stream.take(block * share, share)
            ]

    def __len__(self) -> int:
        """Return the number of batches of this process in one pass over all sources together."""
        return math.ceil(len(self.sampler) / self.batch_size)


def divide_batch(batch_size: int, weights: Sequence[float]) -> list[int]:
    """Divide a batch among sources in proportion to their weights, by largest remainder.

    Args:
        batch_size: Number of samples in a batch.
        weights: One weight per source.

    Returns:
        Number of samples of each source.

    Raises:
        ValueError: If there are no weights, one is not a positive number, or a source would get no
            sample.
    """
    if not len(weights):
        raise ValueError("a batch cannot be divided without weights; give one per source")
    if not all(weight > 0 and math.isfinite(weight) for weight in weights):
        raise ValueError(f"weights must be positive numbers, not {list(weights)}")
    exact = np.asarray(weights, dtype=np.float64) * batch_size / sum(weights)
    shares = np.floor(exact).astype(int)
    largest_remainder = np.argsort(shares - exact, kind="stable")
    shares[largest_remainder[: batch_size - shares.sum()]] += 1
    if shares.min() < 1:
        raise ValueError(
            f"a batch of {batch_size} is too small for the weights {list(weights)}: a source would "
            "get no sample"
        )
    return shares.tolist()


def set_start_iteration(dataloader: DataLoader, iteration: int) -> None:
    """Make a data loader's next iterator start with the batch of a given iteration.

    For training loops that resume: call it before ``iter(dataloader)``. The iterator then yields
    the samples that an uninterrupted run would have seen from that point on.

    Args:
        dataloader: Data loader with :class:`ResumableInfiniteSampler`, with or without
            :class:`SourceShareBatchSampler`.
        iteration: Number of batches that each process has already used.

    Raises:
        TypeError: If the data loader's samplers do not support this.
    """
    batch_sampler, sampler = dataloader.batch_sampler, dataloader.sampler
    if hasattr(batch_sampler, "set_start_batch"):
        batch_sampler.set_start_batch(iteration)
    elif hasattr(sampler, "set_start"):
        sampler.set_start(iteration * batch_sampler.batch_size)
    else:
        raise TypeError(
            f"{type(sampler).__name__} cannot begin in the middle of training; use "
            "ResumableInfiniteSampler, alone or with SourceShareBatchSampler"
        )
