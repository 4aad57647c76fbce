"""Deferred import of modules that importing MMOCR imports, but recognition does not need.

MMOCR imports all of torchvision's models and operators, which in turn import PyTorch's compiler,
and all of SciPy's statistics (docs/performance.md has the timings). Python's own
``importlib.util.LazyLoader`` cannot defer them: it executes a module that is merely asked for its
``__file__``, which ``inspect`` asks of every module, and MMEngine calls ``inspect`` for every
registry that it creates.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any

SELDOM_USED = (
    "lpv_mmocr.reporting.charts",  # imports matplotlib.figure
    "matplotlib.pyplot",
    "scipy.stats",
    "torchvision.models",
    "torchvision.ops",
)
"""Modules that take long to import, and that few scripts use."""


@contextlib.contextmanager
def deferred(names: Sequence[str]) -> Iterator[None]:
    """Defer the import of modules until they are used.

    Importing them within the context gives substitutes that import the actual module when one of
    its attributes or submodules is first used, within the context or after it; that use also raises
    the errors of the import. After the context, importing them works as if they had never been
    imported. Modules that are already imported, or not written in Python, are not affected.

    Args:
        names: Full names of the modules.
    """
    finder = _Finder(names)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in names:
            if type(sys.modules.get(name)) is _Substitute:
                del sys.modules[name]


class _Finder(MetaPathFinder):
    """Finder that finds substitutes when the modules are first imported."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = frozenset(names)
        self._deferred: set[str] = set()

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name in self._names - self._deferred:
            spec = PathFinder.find_spec(name, path, target)
            if spec is not None and isinstance(spec.loader, SourceFileLoader):
                self._deferred.add(name)
                spec.loader = _SubstituteLoader()
                return spec
        # Python has asked a substitute for the path of its submodules, which imported the actual
        # package and with it the submodule, and would execute the submodule once more.
        if name.rpartition(".")[0] in self._deferred and target is None and name in sys.modules:
            return ModuleSpec(name, _PresentLoader(sys.modules[name]))
        return None  # left to the other finders


class _SubstituteLoader(Loader):
    """Loader that makes its module a substitute instead of executing it."""

    def exec_module(self, module: ModuleType) -> None:
        module.__class__ = _Substitute


class _Substitute(ModuleType):
    """Module that passes everything on to the actual one, and imports it if needed."""

    _OWN = frozenset(("__class__", "__name__", "__spec__", "__loader__", "__package__", "__file__"))

    def __getattribute__(self, name: str) -> Any:
        if name in _Substitute._OWN:
            return super().__getattribute__(name)
        return getattr(_actual(self), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(_actual(self), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(_actual(self), name)


def _actual(substitute: ModuleType) -> ModuleType:
    name = substitute.__name__
    if sys.modules.get(name) is substitute:  # within the context
        del sys.modules[name]
    return importlib.import_module(name)


class _PresentLoader(Loader):
    """Loader of a module that has just been imported."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module
        self._spec = module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec  # replaced meanwhile
