"""MMEngine's registries, and limits on what they import for an unknown name."""

from __future__ import annotations

import contextlib
import functools
import sys
import types
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

from . import deferred_classes

OPENMMLAB = frozenset({"mmengine", "mmcv", "mmdet", "mmocr"})
_IMPORTS_BY_NAME = ContextVar("imports by name", default=True)


@contextlib.contextmanager
def no_imports_by_name() -> Iterator[None]:
    """Keep MMEngine's registries from importing by name within the context."""
    token = _IMPORTS_BY_NAME.set(False)
    try:
        yield
    finally:
        _IMPORTS_BY_NAME.reset(token)


def all_registries() -> Iterator[Any]:
    """Yield MMEngine's registries and all of their descendants."""
    from mmengine import registry

    found = [each for each in vars(registry).values() if isinstance(each, registry.Registry)]
    while found:
        each = found.pop()
        yield each
        found += each.children.values()


def patch_registry_lookup() -> None:
    """Change what MMEngine's registries do for a name that is not registered.

    They import the classes that are deferred (:mod:`.deferred_classes`), and no longer import a
    module that is named like the requested class. MMEngine treats an unregistered name as a path to
    import. A single word can only be a module, which is not a class, but by then it has been
    executed: ``type="antigravity"`` opens a browser, whether it is a typing error or comes from the
    config inside a checkpoint. Paths with dots work as before; MMEngine imports the part before the
    first dot as a scope. Within :func:`no_imports_by_name`, nothing of this is imported.
    """
    from mmengine.registry import registry

    from_string, import_module = registry.get_object_from_string, registry.import_module
    get_registered = registry.Registry.get

    @functools.wraps(get_registered)
    def get(self: registry.Registry, key: str) -> Any:
        found = get_registered(self, key)
        if found is None and _IMPORTS_BY_NAME.get() and deferred_classes.register(key):
            return get_registered(self, key)
        return found

    @functools.wraps(from_string)
    def get_object_from_string(obj_name: str) -> Any:
        return from_string(obj_name) if "." in obj_name and _IMPORTS_BY_NAME.get() else None

    @functools.wraps(import_module)
    def import_registered(name: str) -> types.ModuleType:
        scope, _, part = name.rpartition(".")
        known = name in sys.modules or scope in (*OPENMMLAB, "lpv_mmocr")
        if part in ("registry", "utils") and not known and not _IMPORTS_BY_NAME.get():
            raise ImportError(f"{name} is not imported merely because it is named", name=name)
        return import_module(name)

    registry.Registry.get = get
    registry.get_object_from_string = get_object_from_string
    registry.import_module = import_registered
