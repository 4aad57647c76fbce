"""Augmentation of word images: eight groups of operations, three magnitudes each.

Importing the operation modules registers their operations; the import order is the order of
:data:`OPERATIONS`.
"""

# isort: off
from . import warp, geometry, pattern, noise, blur, weather, camera, process

# isort: on
from .operations import GROUPS, NUM_MAGNITUDES, OPERATIONS, Operation, operations_by_group
from .presets import PRESETS
from .transform import TextAugment

__all__ = [
    "GROUPS",
    "NUM_MAGNITUDES",
    "OPERATIONS",
    "PRESETS",
    "Operation",
    "TextAugment",
    "blur",
    "camera",
    "geometry",
    "noise",
    "operations_by_group",
    "pattern",
    "process",
    "warp",
    "weather",
]
