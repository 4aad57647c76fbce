"""Saving, restoring and temporarily replacing the state of this process's random generators."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def random_state() -> dict[str, Any]:
    """Return the current state of this process's Python, NumPy and PyTorch generators.

    Returns:
        Plain data and uint8 tensors, suitable for a checkpoint: ``python``, ``numpy``, ``torch``,
        and ``cuda`` (of the current device) where CUDA is in use.
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
    """Restore an earlier state of this process's generators.

    Args:
        state: Return value of :func:`random_state`; its tensors may be on any device. The CUDA
            entry is ignored where there is no GPU.
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
    """Restore the random state after a block.

    Yields:
        The state before the block, which is also the state after it.
    """
    state = random_state()
    try:
        yield state
    finally:
        set_random_state(state)


@contextmanager
def seeded(*entropy: int) -> Iterator[None]:
    """Seed the CPU generators for a block and restore their state after it.

    Args:
        *entropy: Non-negative integers that together form the seed.
    """
    words: Sequence[int] = np.random.SeedSequence(entropy).generate_state(4).tolist()
    with unchanged_random_state():
        # MMOCR's ImgAugWrapper has its own generator. It is seeded first, since seeding it for the
        # first time draws from NumPy's.
        if "imgaug.random" in sys.modules:
            sys.modules["imgaug.random"].seed(words[3])
        random.seed(words[0])
        np.random.seed(words[1])  # noqa: NPY002
        # torch.manual_seed would also seed the GPU's generator, from which dropout draws.
        torch.default_generator.manual_seed(words[2] << 32 | words[3])
        yield
