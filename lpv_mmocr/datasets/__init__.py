"""Datasets of word images, their transforms and samplers."""

from .bad_samples import BadSampleError
from .label_filter import LabelFilter
from .lmdb_dataset import LPVLMDBDataset
from .lmdb_environment import LMDBDataError, close_environments
from .lmdb_writer import LMDBWriter
from .samplers import ResumableInfiniteSampler, SourceShareBatchSampler, set_start_iteration
from .transforms import decode_image

__all__ = [
    "BadSampleError",
    "LMDBDataError",
    "LMDBWriter",
    "LPVLMDBDataset",
    "LabelFilter",
    "ResumableInfiniteSampler",
    "SourceShareBatchSampler",
    "close_environments",
    "decode_image",
    "set_start_iteration",
]
