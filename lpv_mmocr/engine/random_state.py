"""Saving, restoring and replacing for a while the state of this process's random numbers."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def random_state() -> dict[str, Any]:
    """What Python's, NumPy's and PyTorch's generators of this process hold now.

    Returns:
        Plain data and uint8 tensors, fit for a checkpoint: ``python``, ``numpy``, ``torch``, and
        ``cuda`` (of the current device) where CUDA is in use.
    """
    kind, keys, *position = np.random.get_state()  # noqa: NPY002  (what transforms draw from)
    state = dict(
        python=random.getstate(),
        numpy=(kind, keys.tolist(), *position),
        torch=torch.get_rng_state(),
    )
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def set_random_state(state: dict[str, Any]) -> None:
    """Put the generators of this process back to an earlier state.

    Args:
        state: What :func:`random_state` gave, whatever device its tensors were loaded to. The part
            for CUDA is left aside where there is no GPU.
    """
    version, keys, gauss = state["python"]
    random.setstate((version, tuple(keys), gauss))
    kind, keys, *position = state["numpy"]
    np.random.set_state((kind, np.asarray(keys, dtype=np.uint32), *position))  # noqa: NPY002
    torch.set_rng_state(state["torch"].cpu())
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"].cpu())


@contextmanager
def unchanged_random_state() -> Iterator[dict[str, Any]]:
    """Let a block draw random numbers without a trace.

    Yields:
        The state before the block, which is also the one after it.
    """
    state = random_state()
    try:
        yield state
    finally:
        set_random_state(state)


@contextmanager
def seeded(*entropy: int) -> Iterator[None]:
    """Let a block draw the same random numbers on the CPU whenever it is given the same numbers.

    Args:
        *entropy: Non-negative numbers that together make the seed.
    """
    words: Sequence[int] = np.random.SeedSequence(entropy).generate_state(4).tolist()
    with unchanged_random_state():
        # MMOCR's ImgAugWrapper has numbers of its own. They come first: when they are seeded for
        # the first time, NumPy's are drawn from.
        if "imgaug.random" in sys.modules:
            sys.modules["imgaug.random"].seed(words[3])
        random.seed(words[0])
        np.random.seed(words[1])  # noqa: NPY002
        # torch.manual_seed would seed the GPU's generator as well, which dropout draws from.
        torch.default_generator.manual_seed(words[2] << 32 | words[3])
        yield
