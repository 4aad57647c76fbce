"""Training words in pools on the device, for GPUs that train faster than data loaders deliver."""

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
