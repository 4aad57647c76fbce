"""What MMEngine's registries import for a name that they do not know."""

from __future__ import annotations

import contextlib
import functools
import sys
import types
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

OPENMMLAB = frozenset({"mmengine", "mmcv", "mmdet", "mmocr"})
_IMPORTS_BY_NAME = ContextVar("imports by name", default=True)


@contextlib.contextmanager
def no_imports_by_name() -> Iterator[None]:
    """Keep MMEngine's registries from importing by name while the block lasts."""
    token = _IMPORTS_BY_NAME.set(False)
    try:
        yield
    finally:
        _IMPORTS_BY_NAME.reset(token)


def mend_registry_lookup() -> None:
    """Keep MMEngine's registries from importing a module that merely has a class's name.

    Of a name that is not registered they make a path to import. For one word that can only be a
    module, which is no class, but which has run by then: ``type="antigravity"`` opens a browser, be
    it a slip of the pen or in the config inside a checkpoint. Paths with dots work as before,
    except within :func:`no_imports_by_name`; what stands before the first dot MMEngine imports as a
    scope.
    """
    from mmengine.registry import registry

    from_string, import_module = registry.get_object_from_string, registry.import_module

    @functools.wraps(from_string)
    def get_object_from_string(obj_name: str) -> Any:
        return from_string(obj_name) if "." in obj_name and _IMPORTS_BY_NAME.get() else None

    @functools.wraps(import_module)
    def import_registered(name: str) -> types.ModuleType:
        scope, _, part = name.rpartition(".")
        known = name in sys.modules or scope in (*OPENMMLAB, "lpv_mmocr")
        if part in ("registry", "utils") and not known and not _IMPORTS_BY_NAME.get():
            raise ImportError(f"{name} is not imported for its name alone", name=name)
        return import_module(name)

    registry.get_object_from_string = get_object_from_string
    registry.import_module = import_registered
