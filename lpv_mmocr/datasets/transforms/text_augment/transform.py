"""Augmentation as a transform for MMOCR data pipelines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

import numpy as np
from mmcv.transforms import BaseTransform
from mmocr.registry import TRANSFORMS

from .operations import GROUPS, NUM_MAGNITUDES, Operation, operations_by_group
from .presets import preset_operations


@TRANSFORMS.register_module()
class TextAugment(BaseTransform):
    """Augment a word image with a few operations of different groups.

    With probability ``intact_prob`` the image stays unchanged. Otherwise ``num_groups`` different
    groups are drawn, in random order, and one operation of each, all equally likely, at the given
    or a random magnitude. The operations are those of STR-Aug (Atienza, "Data Augmentation for
    Scene Text Recognition", ICCVW 2021), which the LPV recipe uses right after resizing.

    Required keys: ``img``, uint8 of shape (H, W, 3) in BGR order (as loaded by MMOCR).
    Modified keys: ``img``, same shape and dtype.

    All randomness derives from NumPy's global random state, from which every call draws eight
    bytes, whatever it does with them. MMEngine's seeds therefore make it reproducible, and each
    worker process, seeded separately, augments differently; no state is kept between calls.

    Args:
        num_groups: Number of groups to draw (1 to 8); all available ones if ``groups`` or
            ``operations`` leave fewer.
        intact_prob: Probability of leaving an image unchanged.
        magnitude: Strength of every operation: 0 (weak), 1 or 2 (strong). None draws one for each
            operation.
        groups: Names of the groups to draw from; all when None. A mapping gives each group a
            probability of taking part in the draw, decided for every image; ``num_groups=8`` then
            applies every group with its own probability.
        operations: Names of the operations to draw from; all when None.
        preset: Name of a set of operations, instead of ``operations``: ``straug`` (all),
            ``semantic``, ``ppocr``, ``scatter`` or ``rotation``.

    Raises:
        ValueError: If a value is out of range, a name is unknown, nothing is left to draw, or both
            ``preset`` and ``operations`` are given.
        TypeError: If ``groups`` or ``operations`` is a single string.
    """

    def __init__(
        self,
        *,
        num_groups: int = 3,
        intact_prob: float = 0.5,
        magnitude: int | None = None,
        groups: Sequence[str] | Mapping[str, float] | None = None,
        operations: Sequence[str] | None = None,
        preset: str | None = None,
    ) -> None:
        if not isinstance(num_groups, int) or not 1 <= num_groups <= len(GROUPS):
            raise ValueError(f"num_groups must be 1 to {len(GROUPS)}, but is {num_groups!r}")
        if not 0 <= intact_prob <= 1:
            raise ValueError(f"intact_prob must lie in [0, 1], but is {intact_prob!r}")
        if magnitude is not None and magnitude not in range(NUM_MAGNITUDES):
            raise ValueError(f"magnitude must be None, 0, 1 or 2, but is {magnitude!r}")
        if preset is not None:
            if operations is not None:
                raise ValueError("give either preset or operations, not both")
            operations = preset_operations(preset)
        elif isinstance(operations, str):
            raise TypeError(f"operations must be a list of names, e.g. [{operations!r}]")

        available = operations_by_group(operations)
        self.probabilities = _group_probabilities(groups, available)
        self.operations = {group: available[group] for group in self.probabilities}
        self.num_groups = num_groups
        self.intact_prob = float(intact_prob)
        self.magnitude = magnitude

    def plan(self, rng: Random) -> list[tuple[Operation, int]]:
        """Draw the operations and magnitudes for one image, in order.

        An empty list leaves the image unchanged.
        """
        if rng.random() < self.intact_prob:
            return []
        candidates = [group for group, prob in self.probabilities.items() if rng.random() < prob]
        drawn = rng.sample(candidates, min(self.num_groups, len(candidates)))
        return [(rng.choice(self.operations[group]), self._draw_magnitude(rng)) for group in drawn]

    def _draw_magnitude(self, rng: Random) -> int:
        return rng.randrange(NUM_MAGNITUDES) if self.magnitude is None else self.magnitude

    def augment(self, img: np.ndarray, rng: Random) -> np.ndarray:
        """Draw a plan and apply it.

        Args:
            img: uint8 (H, W, 3), BGR. Never modified.
            rng: Source of all randomness.

        Returns:
            The augmented image, uint8 (H, W, 3); ``img`` itself if it is unchanged.
        """
        for operation, magnitude in self.plan(rng):
            img = operation(img, magnitude, rng)
        return img

    def transform(self, results: dict) -> dict:
        """Augment ``results["img"]``.

        Raises:
            TypeError: If the image is not a uint8 array of shape (H, W, 3).
        """
        img = results["img"]
        if not isinstance(img, np.ndarray) or img.dtype != np.uint8 or img.shape[2:] != (3,):
            described = f"{getattr(img, 'dtype', type(img).__name__)} {np.shape(img)}"
            raise TypeError(
                f"TextAugment needs a uint8 image of shape (H, W, 3), but got {described} from "
                f"{results.get('img_path', 'the pipeline')}; load images in colour and augment "
                "before normalising or packing"
            )
        # MMEngine seeds the global state, in every process and in every worker.
        seed = int.from_bytes(np.random.bytes(8), "little")  # noqa: NPY002
        results["img"] = self.augment(img, Random(seed))
        return results

    def __repr__(self) -> str:
        """Return the settings and the operations that can be drawn."""
        groups = ", ".join(
            f"{group} ({prob:g}): {'/'.join(op.name for op in self.operations[group])}"
            for group, prob in self.probabilities.items()
        )
        return (
            f"{type(self).__name__}(num_groups={self.num_groups}, intact_prob={self.intact_prob}, "
            f"magnitude={self.magnitude}, groups=[{groups}])"
        )


def _group_probabilities(
    groups: Sequence[str] | Mapping[str, float] | None,
    available: Mapping[str, tuple[Operation, ...]],
) -> dict[str, float]:
    """Return the probability of taking part in the draw for every requested group."""
    if isinstance(groups, str):
        raise TypeError(f"groups must be a list of names or a mapping, e.g. [{groups!r}]")
    if groups is None:
        groups = list(available)
    if not groups:
        raise ValueError("groups is empty; name at least one group, or leave it out")
    probabilities = dict(groups) if isinstance(groups, Mapping) else dict.fromkeys(groups, 1.0)
    for group, prob in probabilities.items():
        if group not in GROUPS:
            raise ValueError(f"unknown group {group!r}; the groups are {', '.join(GROUPS)}")
        if group not in available:
            raise ValueError(f"group {group!r} has none of the chosen operations left")
        if not 0 <= prob <= 1:
            raise ValueError(f"the probability of group {group!r} must lie in [0, 1], not {prob!r}")
    return {group: float(prob) for group, prob in probabilities.items()}
