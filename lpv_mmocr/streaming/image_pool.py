"""Pool of images on the device, from which batches are drawn at random."""

from __future__ import annotations

import threading

import torch

from ..models.encoded_words import EncodedWords
from ..models.transfer import to_device
from .chunk import Chunk


class ImagePool:
    """Ring buffer in device memory that holds the newest images of a stream.

    Drawing only gathers on the device; on the host, no image is decoded, collated or
    transferred. An image of 32 × 100 takes 9.6 kB.

    Args:
        capacity: Maximum number of images; once full, new ones replace the oldest.
        device: Device that holds the images.

    Attributes:
        added: Number of images added so far.
        drawn: Number of images drawn so far.

    Raises:
        ValueError: If ``capacity`` is not positive.
    """

    def __init__(self, capacity: int, device: str | torch.device = "cpu") -> None:
        if capacity < 1:
            raise ValueError(f"capacity must be positive, got {capacity}")
        self.capacity = capacity
        self.device = torch.device(device)
        self.added = 0
        self.drawn = 0
        self._oldest = 0
        self._lock = threading.Lock()
        self._images: torch.Tensor | None = None

    def __len__(self) -> int:
        """Return the number of images in the pool, including those being replaced."""
        return min(self.added, self.capacity)

    def add(self, chunk: Chunk) -> None:
        """Add images; another thread may draw meanwhile, and gets none of those being replaced.

        Args:
            chunk: Images of the same size as all others. If they fill the entire pool, nothing
                can be drawn until they have been added.

        Raises:
            ValueError: If their size or the length of their targets differs, or there are more
                than the pool holds.
        """
        if len(chunk.images) > self.capacity:
            raise ValueError(
                f"{len(chunk.images)} images at once are more than the pool's {self.capacity}"
            )
        images, targets, numbers = map(torch.from_numpy, chunk)
        if self._images is None:
            self._allocate(images, targets)
        for new, place in ((images, self._images), (targets, self._targets)):
            if new.shape[1:] != place.shape[1:]:
                raise ValueError(
                    f"the pool holds arrays of shape {tuple(place.shape[1:])}, but the new "
                    f"images bring {tuple(new.shape[1:])}"
                )
        # A draw queues all its reads on the device before any image is overwritten.
        with self._lock:
            self._oldest = max(self._oldest, self.added + len(images) - self.capacity)
        start = self.added % self.capacity
        first = min(len(images), self.capacity - start)
        for new, place in (
            (images, self._images),
            (targets, self._targets),
            (numbers, self._numbers),
        ):
            place[start : start + first].copy_(new[:first])
            place[: len(new) - first].copy_(new[first:])
        self.added += len(images)

    def draw(self, count: int) -> tuple[torch.Tensor, EncodedWords]:
        """Draw images at random, with replacement, using torch's default generator.

        Args:
            count: Number N of images.

        Returns:
            Images of shape (N, 3, H, W), uint8, and their labels.

        Raises:
            RuntimeError: If the pool is empty.
        """
        with self._lock:
            if self._oldest == self.added:
                raise RuntimeError("the pool is empty")
            places = torch.randint(self._oldest, self.added, (count,)) % self.capacity
            places = to_device(places, self.device)
            images, numbers = self._images[places], self._numbers[places]
            targets = self._targets[places]
        self.drawn += count
        return images, EncodedWords(targets.long(), numbers)

    def _allocate(self, images: torch.Tensor, targets: torch.Tensor) -> None:
        def empty(shape: torch.Size, dtype: torch.dtype) -> torch.Tensor:
            return torch.empty((self.capacity, *shape), dtype=dtype, device=self.device)

        self._targets = empty(targets.shape[1:], targets.dtype)
        self._numbers = empty(torch.Size(), torch.int64)
        self._images = empty(images.shape[1:], torch.uint8)
