"""Training words in pools on the device, for GPUs that train faster than data loaders deliver."""

from .batch_augment import BatchTextAugment
from .dataset import StreamedWordDataset
from .image_pool import ImagePool
from .producer import ChunkProducer
from .usage_hook import PoolUsageHook

__all__ = [
    "BatchTextAugment",
    "ChunkProducer",
    "ImagePool",
    "PoolUsageHook",
    "StreamedWordDataset",
]
