"""Third-party recognisers, loaded through a function in a Python file."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

from torch import nn

from ..cli import InputError


def load_adapter(file: str, function: str) -> tuple[nn.Module, tuple[int, int]]:
    """Call an adapter and check what it returns.

    Args:
        file: Python file; it can import modules from its own folder.
        function: Name of a function in the file that takes no arguments and returns a module and
            the height and width of its images. ``module(images)`` is measured, with images of
            shape (N, 3, H, W) in 0..1. The training step also needs a scalar ``module.loss(images,
            texts)``, with N lower-case words.

    Returns:
        The module, and the height and width of its images.

    Raises:
        InputError: If the file or function is missing or fails, or the function returns something
            else.
    """
    where = f"the adapter {file}:{function}"
    build = _find(Path(file), function, where)
    try:
        result = build()
    except Exception as error:
        raise InputError(f"{where} failed ({type(error).__name__}: {error})") from error
    if not isinstance(result, tuple) or len(result) != 2 or not isinstance(result[0], nn.Module):
        raise InputError(
            f"{where} must return a torch.nn.Module and the (height, width) of its images, got "
            f"{_kind(result)}"
        )
    module, size = result
    try:
        height, width = (int(side) for side in size)
    except (TypeError, ValueError):
        height = width = 0
    if height < 1 or width < 1:
        raise InputError(f"{where} must return (height, width) in pixels, got {size!r}")
    return module, (height, width)


def _kind(result: object) -> str:
    if isinstance(result, tuple):
        return f"({', '.join(type(part).__name__ for part in result)})"
    return type(result).__name__


def _find(file: Path, function: str, where: str) -> Callable[[], object]:
    if not file.is_file():
        raise InputError(f"there is no adapter file {file}")
    spec = importlib.util.spec_from_file_location(f"benchmark_adapter_{file.stem}", file)
    module = importlib.util.module_from_spec(spec)
    # Dataclasses in the file look up their module there.
    sys.modules[spec.name] = module
    # As for a script, and permanently: the function may import too. Last, so that it shadows
    # nothing.
    sys.path.append(str(file.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise InputError(
            f"the adapter file {file} cannot be run ({type(error).__name__}: {error})"
        ) from error
    build = getattr(module, function, None)
    if not callable(build):
        names = [name for name, value in vars(module).items() if _is_own(value, spec.name)]
        raise InputError(f"{where}: no such function; the file has {', '.join(names) or 'none'}")
    return build


def _is_own(value: object, module: str) -> bool:
    is_function = callable(value) and not isinstance(value, type)
    return is_function and getattr(value, "__module__", None) == module
