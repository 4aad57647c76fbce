"""Safe parsing of the config text inside checkpoints, which MMEngine runs as a Python program.

Training stores its config in the checkpoint, and resumed runs and inferencers execute it. The file
may come from anyone, so the text must be plain data, and what it makes MMEngine import must be
harmless. (:mod:`lpv_mmocr.engine.inference_config` restricts what may be *built* from it.)
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from typing import Any

from ..registry_lookup import OPENMMLAB

Path = tuple[str | int, ...]
"""Keys and indices that lead to a value, such as ``("model", "encoder", "type")``."""
# MMEngine substitutes environment variables in such braces before it runs the text, so it would
# run something other than what was checked.
_SUBSTITUTION = "{{"


class ConfigTextError(ValueError):
    """A config's text is more than data, or could load code; the message says where."""


def parse_config(text: str) -> dict[str, Any]:
    """Return what a config's text assigns to names, without running it.

    MMEngine writes configs (``Config.pretty_text``) as a sequence of assignments of literals and
    ``dict(key=value)`` calls; nothing else is needed to rebuild a config.

    Args:
        text: Config as Python source.

    Returns:
        The values by name: dictionaries whose keys are strings or integers, lists, tuples, sets,
        strings, numbers, Booleans, None.

    Raises:
        ConfigTextError: If the text is more than data, or names modules to import that are neither
            OpenMMLab's, nor this package's, nor imported already.
    """
    if _SUBSTITUTION in text:
        raise ConfigTextError(f"it has {_SUBSTITUTION}, which MMEngine would substitute")
    try:
        config = _assigned(ast.parse(text))
    except ConfigTextError:
        raise
    except (SyntaxError, TypeError, ValueError, RecursionError, MemoryError) as error:
        raise ConfigTextError(f"{type(error).__name__} in the text") from error
    for part in ("custom_imports", "default_scope"):
        for path, module in leaves(config.get(part), (part,)):
            if isinstance(module, str) and not is_safe_import(module):
                raise ConfigTextError(shown(path, module))
    return config


def leaves(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    """Walk through a value and everything nested in it.

    Args:
        value: Value, such as nested dictionaries and lists.
        path: Path of the value itself.

    Yields:
        Path and value of each, the value itself first.
    """
    yield path, value
    if isinstance(value, dict):
        pairs = value.items()
    else:
        pairs = enumerate(value) if isinstance(value, list | tuple | set) else ()
    for key, item in pairs:
        yield from leaves(item, (*path, key))


def shown(path: Path, value: Any) -> str:
    """Format a path in a config and its value for a message.

    Args:
        path: Path of the value.
        value: Value there.
    """
    place = "".join(f".{key}" if isinstance(key, str) else f"[{key}]" for key in path)
    return f"{place[1:]} = {str(value)[:60]!r}"


def is_safe_import(module: str) -> bool:
    """Return whether importing a module runs no code chosen by a checkpoint.

    Args:
        module: Name of the module. To use a package of your own classes, import it beforehand.
    """
    at_hand = module.partition(".")[0] in (*OPENMMLAB, "lpv_mmocr")
    return at_hand or sys.modules.get(module) is not None


def _assigned(program: ast.Module) -> dict[str, Any]:
    config = {}
    for statement in program.body:
        if not isinstance(statement, ast.Assign):
            raise _not_data(statement)
        value = _data(statement.value)
        for target in statement.targets:
            if not isinstance(target, ast.Name):
                raise _not_data(statement)
            if target.id == "_base_":
                raise _not_data(statement, " (another file)")
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
            raise _not_data(node)
        return _merged(node, ((keyword.arg, keyword.value) for keyword in node.keywords))
    try:
        value = ast.literal_eval(node)
    except ValueError:
        raise _not_data(node) from None
    # Not bytes, which literal_eval accepts too.
    if value is None or isinstance(value, str | int | float):
        return value
    raise _not_data(node)


def _merged(node: ast.expr, pairs: Iterator[tuple[ast.expr | str | None, ast.expr]]) -> dict:
    """Build a dictionary from pairs; a value without a key is a dictionary given as ``**{...}``."""
    result = {}
    for key, value in pairs:
        if key is None:
            inner = _data(value)
            if not isinstance(inner, dict):
                raise _not_data(node)
            result.update(inner)
            continue
        name = key if isinstance(key, str) else _data(key)
        # A key that is a literal None is not "**"; numbers are the classes of some datasets.
        if not isinstance(name, str | int):
            raise _not_data(node)
        result[name] = _data(value)
    return result


def _not_data(node: ast.AST, why: str = "") -> ConfigTextError:
    return ConfigTextError(f"line {node.lineno}: {ast.unparse(node)[:60]}{why}")
