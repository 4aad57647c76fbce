"""Configs that travel as text inside checkpoints, which MMEngine runs as a Python program.

Training writes its config into the checkpoint, and a resumed run and an inferencer run it. The file
may be anybody's: so the text has to be data, and what it lets MMEngine import be harmless. (What
may be *built* of it is the concern of :mod:`lpv_mmocr.engine.reading_config`.)
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from typing import Any

from ..registry_lookup import OPENMMLAB

Path = tuple[str | int, ...]
"""Keys and positions that lead to a value, such as ``("model", "encoder", "type")``."""
# MMEngine replaces what stands in such brackets by variables of the environment, before it runs the
# text: what it runs is then not what was looked at.
_SUBSTITUTION = "{{"


class ConfigTextError(ValueError):
    """A config's text is more than data, or could lead to more; the message names the place."""


def parse_config(text: str) -> dict[str, Any]:
    """Find what a config's text assigns to names, without running it.

    What MMEngine writes (``Config.pretty_text``) is a row of assignments of literals and of
    ``dict(key=value)`` calls; nothing else is needed to rebuild a config.

    Args:
        text: A config as Python source.

    Returns:
        The values by name: dictionaries whose keys are strings and numbers, lists, tuples, sets,
        strings, numbers, None.

    Raises:
        ConfigTextError: If the text is more than data, or names modules to import that are neither
            OpenMMLab's, nor this package's, nor imported already.
    """
    if _SUBSTITUTION in text:
        raise ConfigTextError(f"it has {_SUBSTITUTION}, which MMEngine replaces by something else")
    try:
        config = _assigned(ast.parse(text))
    except ConfigTextError:
        raise
    except (SyntaxError, TypeError, ValueError, RecursionError, MemoryError) as error:
        raise ConfigTextError(f"{type(error).__name__} in the text") from error
    for part in ("custom_imports", "default_scope"):
        for path, module in leaves(config.get(part), (part,)):
            if isinstance(module, str) and not is_at_hand(module):
                raise ConfigTextError(shown(path, module))
    return config


def leaves(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    """Walk through a value and all in it.

    Args:
        value: Dictionaries, lists and whatever is in them.
        path: Where the value itself is.

    Yields:
        Where each is, and what it is.
    """
    yield path, value
    if isinstance(value, dict):
        pairs = value.items()
    else:
        pairs = enumerate(value) if isinstance(value, list | tuple | set) else ()
    for key, item in pairs:
        yield from leaves(item, (*path, key))


def shown(path: Path, value: Any) -> str:
    """A place of a config and what is there, for a message.

    Args:
        path: Where it is.
        value: What it is.
    """
    place = "".join(f".{key}" if isinstance(key, str) else f"[{key}]" for key in path)
    return f"{place[1:]} = {str(value)[:60]!r}"


def is_at_hand(module: str) -> bool:
    """Whether importing a module runs nothing that a checkpoint has chosen.

    Args:
        module: Its name. Whoever has a package of classes of their own imports it before.
    """
    at_hand = module.partition(".")[0] in (*OPENMMLAB, "lpv_mmocr")
    return at_hand or sys.modules.get(module) is not None


def _assigned(program: ast.Module) -> dict[str, Any]:
    config = {}
    for statement in program.body:
        if not isinstance(statement, ast.Assign):
            raise _no_data(statement)
        value = _data(statement.value)
        for target in statement.targets:
            if not isinstance(target, ast.Name):
                raise _no_data(statement)
            if target.id == "_base_":
                raise _no_data(statement, " (another file)")
            config[target.id] = value
    return config


def _data(node: ast.expr) -> Any:
    for kind, sequence in ((ast.List, list), (ast.Tuple, tuple), (ast.Set, set)):
        if isinstance(node, kind):
            return sequence(map(_data, node.elts))
    if isinstance(node, ast.Dict):
        return _merged(node, zip(node.keys, node.values, strict=True))
    if isinstance(node, ast.Call):
        is_dict = isinstance(node.func, ast.Name) and node.func.id == "dict" and not node.args
        if not is_dict:
            raise _no_data(node)
        return _merged(node, ((keyword.arg, keyword.value) for keyword in node.keywords))
    try:
        value = ast.literal_eval(node)
    except ValueError:
        raise _no_data(node) from None
    # Not bytes, which Python evaluates as it does text.
    if value is None or isinstance(value, str | int | float):
        return value
    raise _no_data(node)


def _merged(node: ast.expr, pairs: Iterator[tuple[ast.expr | str | None, ast.expr]]) -> dict:
    """A dictionary of pairs; what has no key is one itself, given as ``**{...}``."""
    result = {}
    for key, value in pairs:
        if key is None:
            inner = _data(value)
            if not isinstance(inner, dict):
                raise _no_data(node)
            result.update(inner)
            continue
        name = key if isinstance(key, str) else _data(key)
        # None as a key is no "**"; numbers name the classes of some data sets.
        if not isinstance(name, str | int):
            raise _no_data(node)
        result[name] = _data(value)
    return result


def _no_data(node: ast.AST, why: str = "") -> ConfigTextError:
    return ConfigTextError(f"line {node.lineno}: {ast.unparse(node)[:60]}{why}")
