"""Batches that depend on the iteration alone, random augmentation included.

MMEngine seeds every worker process once, at its start. What augmentation draws then depends on the
number of workers, and a resumed run repeats the draws of the run's beginning. Here the batch
sampler numbers its batches, and whoever loads batch n, a worker or the main process, seeds the
generators with n for that batch.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, NamedTuple

from mmengine.dist import get_rank
from torch.utils.data import DataLoader, Dataset, Sampler

from ..datasets import set_start_iteration
from .random_state import seeded


class NumberedBatch(NamedTuple):
    """The samples of one batch, and the iteration that it is for."""

    iteration: int
    indices: list[int]


class NumberedBatchSampler(Sampler):
    """Gives every batch of another batch sampler its number.

    Args:
        loader: Data loader whose batches are numbered.
    """

    def __init__(self, loader: DataLoader) -> None:
        self._loader = loader
        self._start = 0

    @property
    def sampler(self) -> Sampler:
        """Where the order of samples comes from."""
        return getattr(self._loader.batch_sampler, "sampler", self._loader.sampler)

    @property
    def batch_size(self) -> int:
        """Samples in a batch of this process."""
        return self._loader.batch_sampler.batch_size

    def set_start_batch(self, num_batches: int) -> None:
        """Begin the next iterator behind batches that this process has already used.

        Args:
            num_batches: Number of those batches.

        Raises:
            TypeError: If the numbered sampler cannot begin in the middle.
        """
        self._start = num_batches
        set_start_iteration(self._loader, num_batches)

    def __iter__(self) -> Iterator[NumberedBatch]:
        """The batches, from the start that was set."""
        for iteration, indices in enumerate(self._loader.batch_sampler, self._start):
            yield NumberedBatch(iteration, indices)

    def __len__(self) -> int:
        """Batches of one epoch in this process."""
        return len(self._loader.batch_sampler)


class SeededDataset(Dataset):
    """A data set that draws the same random numbers for the same batch.

    In all else it is the data set that it holds: attributes are looked up there.

    Args:
        dataset: The data set.
        seed: Seed of the run.
        rank: This process among those that train together; each draws numbers of its own.
    """

    def __init__(self, dataset: Dataset, *, seed: int, rank: int) -> None:
        self.dataset = dataset
        self._seed = seed
        self._rank = rank

    def __getitems__(self, batch: NumberedBatch) -> list[Any]:
        """The samples of one batch; PyTorch's data loader asks for them in one call."""
        with seeded(self._seed, self._rank, batch.iteration):
            return [self.dataset[index] for index in batch.indices]

    def __getitem__(self, index: int) -> Any:
        """One sample, with whatever random numbers come."""
        return self.dataset[index]

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.dataset)

    def __getattr__(self, name: str) -> Any:
        """Attributes of the data set; ``metainfo``, for example."""
        if name == "dataset":  # not there yet, while a copy is being unpickled
            raise AttributeError(name)
        return getattr(self.dataset, name)


def reproducible(loader: DataLoader, *, seed: int) -> DataLoader:
    """Make a data loader whose batches depend on the iteration alone.

    Args:
        loader: A data loader over a map-style data set, of which nothing has been loaded yet.
        seed: Seed of the run.

    Returns:
        A loader of the same batches with the same options, which
        :func:`lpv_mmocr.datasets.set_start_iteration` sets to any iteration.

    Raises:
        TypeError: If the loader's samplers cannot begin in the middle.
    """
    replaced = ("dataset", "batch_size", "shuffle", "sampler", "batch_sampler", "drop_last")
    options = {
        name: getattr(loader, name)
        for name in inspect.signature(DataLoader).parameters
        if name not in replaced
    }
    numbered = DataLoader(
        SeededDataset(loader.dataset, seed=seed, rank=get_rank()),
        batch_sampler=NumberedBatchSampler(loader),
        **options,
    )
    set_start_iteration(numbered, 0)
    return numbered
