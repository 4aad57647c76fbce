"""Named sets of operations: the modes of the released LPV training code.

``straug`` is the full set. The others are alternatives, kept for comparison: the augmentations that
earlier recognisers were trained with, expressed as operations of STR-Aug. Every mode applies up to
three different groups (the default ``num_groups``), one operation of each.
"""

from __future__ import annotations

from .operations import OPERATIONS

PRESETS: dict[str, tuple[str, ...]] = {
    "straug": tuple(OPERATIONS),
    "semantic": ("rotate", "perspective", "shrink", "gaussian_noise", "motion_blur"),
    "ppocr": ("distort", "rotate", "perspective", "gaussian_noise", "motion_blur"),
    "scatter": ("distort", "shrink"),
    "rotation": ("rotate",),
}
"""Operations of each preset, by name."""


def preset_operations(name: str) -> tuple[str, ...]:
    """Return the names of a preset's operations.

    Raises:
        ValueError: If there is no such preset.
    """
    if name not in PRESETS:
        raise ValueError(f"unknown preset {name!r}; the presets are {', '.join(PRESETS)}")
    return PRESETS[name]
