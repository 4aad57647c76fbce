"""Search for packages as MMEngine does it, without ``pkg_resources``."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os


def is_installed(package: str) -> bool:
    """Return whether a distribution or an importable module has this name.

    Args:
        package: Name of a distribution (``mmcv-lite``) or of a module (``mmcv``).

    Returns:
        True if there is one.
    """
    try:
        importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        return any(_package_directory(module) for module in _module_names(package))
    return True


def get_installed_path(package: str) -> str:
    """Find the directory of a package, installed, editable or merely importable.

    Args:
        package: Name of a distribution (``mmcv-lite``) or of a module (``mmcv``).

    Returns:
        The directory that holds the package's ``__init__.py``.

    Raises:
        ModuleNotFoundError: If nothing importable has that name.
    """
    for module in _module_names(package):
        directory = _package_directory(module)
        if directory is not None:
            return directory
    raise ModuleNotFoundError(f"there is no importable package {package!r}", name=package)


def _module_names(package: str) -> list[str]:
    """Return the names under which a distribution or module of this name may be imported."""
    names = [package]
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        top_level = importlib.metadata.distribution(package).read_text("top_level.txt") or ""
        names += top_level.split()
    names.append(package.replace("-", "_"))
    return names


def _package_directory(module: str) -> str | None:
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:  # of the parent package
        return None
    if spec is None or spec.origin is None:  # a namespace package has no origin
        return None
    return os.path.dirname(spec.origin)
