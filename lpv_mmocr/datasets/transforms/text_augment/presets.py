"""Named choices of operations: the modes of the released LPV training code.

They are alternatives to the full set, kept for comparison: what earlier recognisers were trained
with, expressed in the operations of STR-Aug. In every mode up to three different groups are
applied, one operation of each.
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
"""The operations of each preset, by its name."""


def preset_operations(name: str) -> tuple[str, ...]:
    """Return the names of a preset's operations.

    Raises:
        ValueError: If there is no such preset.
    """
    if name not in PRESETS:
        raise ValueError(f"unknown preset {name!r}; the presets are {', '.join(PRESETS)}")
    return PRESETS[name]
