"""Words that wait on the device: for a GPU that trains faster than data loaders hand over."""

from .batch_augment import BatchTextAugment
from .dataset import StreamedWordDataset
from .picture_pool import PicturePool
from .producer import ChunkProducer
from .usage_hook import PoolUsageHook

__all__ = [
    "BatchTextAugment",
    "ChunkProducer",
    "PicturePool",
    "PoolUsageHook",
    "StreamedWordDataset",
]
