"""Registry of augmentation operations.

An operation is a plain function ``(img, magnitude, rng) -> img``. It takes a uint8 image of shape
(H, W, 3) in BGR order, a magnitude of 0 (weak), 1 or 2 (strong) and a :class:`random.Random`, and
returns a new image of the same shape and dtype; it never modifies its input. All randomness comes
from ``rng``, so equal generators give equal images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random

import numpy as np

NUM_MAGNITUDES = 3

GROUPS = ("warp", "geometry", "pattern", "noise", "blur", "weather", "camera", "process")

AugmentFunction = Callable[[np.ndarray, int, Random], np.ndarray]


@dataclass(frozen=True)
class Operation:
    """One augmentation operation.

    Args:
        name: Unique name, as used in configs.
        group: Group of the operation, one of :data:`GROUPS`.
        function: Function that implements the operation.
    """

    name: str
    group: str
    function: AugmentFunction

    def __call__(self, img: np.ndarray, magnitude: int, rng: Random) -> np.ndarray:
        """Apply the operation to a uint8 image (H, W, 3), BGR; the input is not modified."""
        return self.function(img, magnitude, rng)


OPERATIONS: dict[str, Operation] = {}
"""All operations by name, in the order of their groups."""


def operation(group: str) -> Callable[[AugmentFunction], AugmentFunction]:
    """Register the decorated function, under its own name, as an operation of ``group``.

    Raises:
        ValueError: If the group is unknown or the name is taken.
    """
    if group not in GROUPS:
        raise ValueError(f"unknown group {group!r}; the groups are {', '.join(GROUPS)}")

    def register(function: AugmentFunction) -> AugmentFunction:
        name = function.__name__
        if name in OPERATIONS:
            raise ValueError(f"an operation named {name!r} is registered already")
        OPERATIONS[name] = Operation(name, group, function)
        return function

    return register


def operations_by_group(names: Iterable[str] | None = None) -> dict[str, tuple[Operation, ...]]:
    """Return operations by group.

    Args:
        names: Names of the operations; all of them when None.

    Returns:
        Dict from group to operations, for every group that has at least one of them, in the order
        of :data:`GROUPS`.

    Raises:
        ValueError: If a name is unknown or no name is given.
    """
    wanted = list(OPERATIONS) if names is None else list(names)
    unknown = sorted(set(wanted) - OPERATIONS.keys())
    if unknown:
        raise ValueError(
            f"unknown operation(s) {', '.join(map(repr, unknown))}; "
            f"the operations are {', '.join(OPERATIONS)}"
        )
    if not wanted:
        raise ValueError("operations is empty; name at least one operation, or leave it out")
    grouped = {
        group: tuple(op for op in OPERATIONS.values() if op.group == group and op.name in wanted)
        for group in GROUPS
    }
    return {group: members for group, members in grouped.items() if members}
