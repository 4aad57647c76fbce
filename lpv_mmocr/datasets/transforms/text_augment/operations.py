"""The registry of augmentation operations.

An operation is a plain function ``(img, magnitude, rng) -> img``. It takes a uint8 picture of
shape (H, W, 3) in BGR order, a magnitude of 0 (weak), 1 or 2 (strong) and a
:class:`random.Random`, and returns a new picture of the same shape and dtype; it never writes
into its input. All randomness comes from ``rng``, so equal generators give equal pictures.
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
        name: Unique name, as configs spell it.
        group: The group it belongs to, one of :data:`GROUPS`.
        function: The function that does the work.
    """

    name: str
    group: str
    function: AugmentFunction

    def __call__(self, img: np.ndarray, magnitude: int, rng: Random) -> np.ndarray:
        """Apply the operation to a uint8 picture (H, W, 3), BGR; the input stays as it is."""
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
    """Sort operations into their groups.

    Args:
        names: The operations wanted; all of them when None.

    Returns:
        For every group that has at least one of the operations, in the order of :data:`GROUPS`,
        its operations.

    Raises:
        ValueError: If a name is unknown or there is none at all.
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
