"""LPV scene text recognition as a plugin for MMOCR.

Importing this package patches what keeps MMOCR 1.0.1 from running on today's Python, NumPy and
PyTorch (see :mod:`lpv_mmocr.compat`) and registers every LPV component in MMOCR's registries.
"""

from __future__ import annotations

from typing import Any

from . import collector, compat, deferred_classes
from .deferred_import import SELDOM_USED, deferred
from .version import __version__

with collector.paused(), deferred(SELDOM_USED), deferred_classes.deferred():
    compat.apply()

    # Importing these registers components, and needs the patches first.
    from . import (
        datasets,
        deploy,
        engine,
        evaluation,
        inferencer_patches,
        models,
        rendering,
        reporting,
        streaming,
        visualization,
    )

__all__ = [
    "__version__",
    "compat",
    "datasets",
    "deploy",
    "engine",
    "evaluation",
    "inferencer_patches",
    "models",
    "read",
    "rendering",
    "reporting",
    "streaming",
    "visualization",
]


def __getattr__(name: str) -> Any:
    # Reading is imported on first use; training and evaluation do not need it.
    if name == "read":
        from .reading import read

        return read
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
