"""Batches that depend only on the iteration, including random augmentation.

MMEngine seeds every worker process once, at its start. Random augmentation then depends on the
number of workers, and a resumed run repeats the random numbers from the start of the run. Here the
batch sampler numbers its batches, and the process that loads batch n, a worker or the main process,
seeds the generators with n for that batch.
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
    """Sample indices of one batch, and the iteration that it is for."""

    iteration: int
    indices: list[int]


class NumberedBatchSampler(Sampler):
    """Batch sampler that numbers the batches of another one.

    Args:
        loader: Data loader whose batches are numbered.
    """

    def __init__(self, loader: DataLoader) -> None:
        self._loader = loader
        self._start = 0

    @property
    def sampler(self) -> Sampler:
        """Sampler that determines the order of samples."""
        return getattr(self._loader.batch_sampler, "sampler", self._loader.sampler)

    @property
    def batch_size(self) -> int:
        """Number of samples in a batch of this process."""
        return self._loader.batch_sampler.batch_size

    def set_start_batch(self, num_batches: int) -> None:
        """Start the next iterator after the batches that this process has already used.

        Args:
            num_batches: Number of those batches.

        Raises:
            TypeError: If the numbered sampler cannot start in the middle.
        """
        self._start = num_batches
        set_start_iteration(self._loader, num_batches)

    def __iter__(self) -> Iterator[NumberedBatch]:
        """Yield the batches, beginning at the start that was set."""
        for iteration, indices in enumerate(self._loader.batch_sampler, self._start):
            yield NumberedBatch(iteration, indices)

    def __len__(self) -> int:
        """Return the number of batches in one epoch in this process."""
        return len(self._loader.batch_sampler)


class SeededDataset(Dataset):
    """Dataset wrapper that draws the same random numbers for the same batch.

    All other attributes are those of the wrapped dataset.

    Args:
        dataset: Dataset to wrap.
        seed: Seed of the run.
        rank: Rank of this process in distributed training; each rank draws its own numbers.
    """

    def __init__(self, dataset: Dataset, *, seed: int, rank: int) -> None:
        self.dataset = dataset
        self._seed = seed
        self._rank = rank

    def __getitems__(self, batch: NumberedBatch) -> list[Any]:
        """Return the samples of one batch, which PyTorch's data loader fetches in one call."""
        with seeded(self._seed, self._rank, batch.iteration):
            return [self.dataset[index] for index in batch.indices]

    def __getitem__(self, index: int) -> Any:
        """Return one sample, without seeding."""
        return self.dataset[index]

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.dataset)

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the wrapped dataset, for example ``metainfo``."""
        if name == "dataset":  # not set yet, while a copy is being unpickled
            raise AttributeError(name)
        return getattr(self.dataset, name)


def reproducible(loader: DataLoader, *, seed: int) -> DataLoader:
    """Return a data loader whose batches depend only on the iteration.

    Args:
        loader: Data loader over a map-style dataset, from which nothing has been loaded yet.
        seed: Seed of the run.

    Returns:
        A loader of the same batches with the same options, which
        :func:`lpv_mmocr.datasets.set_start_iteration` sets to any iteration.

    Raises:
        TypeError: If the loader's samplers cannot start in the middle.
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
