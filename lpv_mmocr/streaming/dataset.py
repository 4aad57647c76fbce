"""Dataset of batches drawn from pools of images on the device."""

from __future__ import annotations

import atexit
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.dist import get_world_size
from mmengine.registry import FUNCTIONS
from mmocr.registry import DATASETS, MODELS
from torch.utils.data import Dataset, get_worker_info

from ..datasets.samplers import divide_batch
from ..models.encoded_words import EncodedWords, LabelEncoding
from .sources import InMemorySource, StreamedSource


@FUNCTIONS.register_module()
def collate_single(items: list[Any]) -> Any:
    """Collate one item that is already a batch."""
    (item,) = items
    return item


@DATASETS.register_module()
class StreamedWordDataset(Dataset):
    """Dataset of complete batches, drawn at random from pools on the training device.

    For GPUs that train faster than data loaders deliver batches. Each source has a pool
    (:class:`ImagePool`): a source with a ``capacity`` is a stream of new images
    (:class:`StreamedSource`), the others are loaded completely (:class:`InMemorySource`). A batch
    takes words from the pools in proportion to the sources' weights. Which images are in a pool
    at a given moment depends on how fast they are made, so runs are not bitwise reproducible.

    An item is a batch, so the data loader needs ``batch_size=1``, ``num_workers=0`` and
    ``collate_fn=dict(type="collate_single")``, and the model needs ``WordDataPreprocessor``.

    Args:
        batch_size: Number of words in a batch.
        sources: Options of each source: ``dataset``, a config whose pipeline ends with a
            ``Resize`` to the model's size, ``weight`` (1 by default), and the arguments of
            :class:`StreamedSource`.
        loss: Config of the model's loss, including its dictionary; it encodes the labels.
        length: Number of batches; must exceed the number that a run draws.
        device: Device of the pools; by default the first GPU if there is one.

    Raises:
        ValueError: If there are no sources, a weight is not positive, a source would get no word
            in a batch or has options of a stream but no ``capacity``, two sources share a folder,
            or several processes train.
        RuntimeError: If a worker process of a data loader requests a batch.
    """

    metainfo = dict(dataset_type="streamed_words", task_name="textrecog")

    def __init__(
        self,
        *,
        batch_size: int,
        sources: Sequence[dict],
        loss: dict,
        length: int = 1_000_000,
        device: str | None = None,
    ) -> None:
        if not sources:
            raise ValueError("a StreamedWordDataset needs at least one source")
        if get_world_size() > 1:
            raise ValueError(
                f"a StreamedWordDataset supports one process, but there are {get_world_size()}; "
                "start training without a launcher"
            )
        folders = [Path(source["folder"]).resolve() for source in sources if "folder" in source]
        if twice := [str(folder) for folder in folders if folders.count(folder) > 1]:
            raise ValueError(
                f"two sources have the folder {twice[0]}: each would delete the other's images"
            )
        self._length = length
        # MMOCR's dictionary belongs to the loss.
        encoder = MODELS.build(loss)
        self._encoding = LabelEncoding.of(encoder)
        place = torch.device(device or get_device())
        weights = [source.get("weight", 1.0) for source in sources]
        self._counts = divide_batch(batch_size, weights)
        self.sources: list[StreamedSource | InMemorySource] = []
        for source in sources:
            options = {key: value for key, value in source.items() if key != "weight"}
            streamed = options.keys() & {"capacity", "folder", "workers"}
            if streamed and "capacity" not in options:
                raise ValueError(
                    f"a source with {', '.join(sorted(streamed))} needs a capacity, too: the "
                    "number of images in its pool"
                )
            kind = StreamedSource if streamed else InMemorySource
            self.sources.append(kind(**options, loss=encoder, device=place))
        self._started = False

    def __len__(self) -> int:
        """Return the number of batches."""
        return self._length

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return a batch: ``inputs`` (N, 3, H, W), uint8, BGR, and ``data_samples``, the labels."""
        if not self._started:
            self.start()
        drawn = [
            source.draw(count) for source, count in zip(self.sources, self._counts, strict=True)
        ]
        images, words = zip(*drawn, strict=True)
        return dict(
            inputs=torch.cat(images),
            data_samples=EncodedWords(
                torch.cat([part.targets for part in words]),
                torch.cat([part.numbers for part in words]),
                self._encoding,
            ),
        )

    def start(self) -> None:
        """Start filling the pools, and wait for the first images."""
        if get_worker_info() is not None:
            raise RuntimeError("a StreamedWordDataset needs a data loader with num_workers=0")
        self._started = True
        atexit.register(self.stop)
        for source in self.sources:
            source.start()

    def stop(self) -> None:
        """Stop the processes that make images."""
        atexit.unregister(self.stop)
        for source in self.sources:
            source.stop()

    def statistics(self) -> dict[str, float]:
        """Return how many images streamed pools hold and have received, and mean uses of each."""
        pools = [source.pool for source in self.sources if isinstance(source, StreamedSource)]
        added = sum(pool.added for pool in pools)
        return dict(
            pool_images=float(sum(map(len, pools))),
            pool_added=float(added),
            mean_uses=sum(pool.drawn for pool in pools) / max(added, 1),
        )
