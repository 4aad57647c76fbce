"""Cache for computed arrays, bounded in bytes.

Warp bases, masks and lookup tables depend on the image size. In training there is one size and
everything is computed once; with images of many sizes, the memory must not grow without bound, and
``functools.lru_cache`` counts entries, not bytes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TypeVar

import numpy as np

Function = TypeVar("Function", bound=Callable[..., np.ndarray])

DEFAULT_MAX_BYTES = 16 * 2**20


def cached_array(function: Function, *, max_bytes: int = DEFAULT_MAX_BYTES) -> Function:
    """Cache the arrays that a pure function of hashable arguments returns.

    The arrays are made read-only, since all callers share them. When their total size exceeds
    ``max_bytes``, the oldest are dropped; an array larger than that is never kept.

    Args:
        function: Function of positional, hashable arguments that returns one array.
        max_bytes: Maximum number of bytes to keep.

    Returns:
        The caching function; its attribute ``cache`` is the dictionary of kept arrays.
    """
    cache: dict[tuple, np.ndarray] = {}

    @functools.wraps(function)
    def cached(*args):
        array = cache.get(args)
        if array is None:
            array = function(*args)
            array.flags.writeable = False
            if array.nbytes <= max_bytes:
                cache[args] = array
                while sum(kept.nbytes for kept in cache.values()) > max_bytes:
                    del cache[next(iter(cache))]
        return array

    cached.cache = cache
    return cached
