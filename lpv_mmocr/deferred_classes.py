"""Deferred import of MMEngine's classes for sharded training, which recognition does not need.

MMEngine imports them whenever it is imported, and with them PyTorch's distributed tensors and
symbolic shapes (docs/performance.md has the timings). They inherit from classes of PyTorch, which
are needed as soon as they are defined, so deferring PyTorch's modules (:mod:`.deferred_import`)
would defer nothing. Instead, the modules that define them are imported when a package of MMEngine
is asked for the class, or a registry for its name.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import threading
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

CLASSES = {
    "FSDPStrategy": "mmengine._strategy.fsdp",
    "MMFullyShardedDataParallel": "mmengine.model.wrappers.fully_sharded_distributed",
    "ZeroRedundancyOptimizer": "mmengine.optim.optimizer.zero_optimizer",
}
"""Module of each class, which also registers it."""

# PyTorch's modules import one another in a circle, which threads must not enter at two places.
_LOCK = threading.RLock()


@contextlib.contextmanager
def deferred(classes: Mapping[str, str] = CLASSES) -> Iterator[None]:
    """Defer the import of classes until they are used after the context.

    Packages that import a class within the context get a placeholder. After the context, they
    import the class when they are asked for it; that use also raises the errors of the import.
    Modules that are already imported are not affected.

    Args:
        classes: Full name of the module of each class. Only modules of the same top-level package
            may import the class within the context.
    """
    placeholders = {
        name: ModuleType(module) for name, module in classes.items() if module not in sys.modules
    }
    for name, placeholder in placeholders.items():
        setattr(placeholder, name, placeholder)
        sys.modules[placeholder.__name__] = placeholder
    try:
        yield
    finally:
        for placeholder in placeholders.values():
            del sys.modules[placeholder.__name__]
        importers = {module.partition(".")[0] for module in classes.values()}
        for name, module in list(sys.modules.items()):
            if name.partition(".")[0] in importers:
                _replace(placeholders, module)


def register(name: str) -> bool:
    """Import the class of :data:`CLASSES` that has a name, which registers the class.

    Args:
        name: Name, with or without a scope.

    Returns:
        Whether a class has the name.
    """
    name = name.rpartition(".")[2]
    if name in CLASSES:
        _import(CLASSES[name])
    return name in CLASSES


def _import(module: str) -> ModuleType:
    with _LOCK:
        return importlib.import_module(module)


def _replace(placeholders: Mapping[str, ModuleType], package: ModuleType) -> None:
    """Make a package that has placeholders import the classes when it is asked for them."""
    modules = {
        name: placeholder.__name__
        for name, placeholder in placeholders.items()
        if vars(package).get(name) is placeholder
    }
    if not modules:
        return

    def import_attribute(name: str) -> Any:
        if name in modules:
            value = getattr(_import(modules[name]), name)
            setattr(package, name, value)
            return value
        submodule = f"{package.__name__}.{name}"
        if submodule in modules.values():
            return _import(submodule)
        raise AttributeError(f"module {package.__name__!r} has no attribute {name!r}")

    for name in modules:
        delattr(package, name)
    package.__getattr__ = import_attribute  # PEP 562
