"""Augmentation of word pictures: eight groups of operations, three magnitudes each.

Importing the modules of operations registers what they define; their order is the order of
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
