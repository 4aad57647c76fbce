"""Configs that travel as text inside checkpoints, which MMEngine runs as a Python program."""

from __future__ import annotations

import ast

_LITERALS = (ast.Constant, ast.List, ast.Tuple, ast.Set, ast.Dict, ast.UnaryOp)


def code_in_config(text: str) -> str | None:
    """Look for anything in a config's text that is more than data.

    What MMEngine writes (``Config.pretty_text``) is a row of assignments of literals and of
    ``dict(key=value)`` calls; nothing else is needed to rebuild a config.

    Args:
        text: A config as Python source.

    Returns:
        The first place that is more than data, for a message; None where all is data.
    """
    try:
        statements = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return f"{type(error).__name__} in the text"
    for statement in statements:
        if not isinstance(statement, ast.Assign) or not all(
            isinstance(target, ast.Name) for target in statement.targets
        ):
            return _where(statement)
        if any(target.id == "_base_" for target in statement.targets):
            return f"{_where(statement)} (another file)"
        code = next((node for node in _values(statement.value) if not _is_data(node)), None)
        if code is not None:
            return _where(code)
    return None


def _values(node: ast.AST) -> list[ast.AST]:
    """A value and all values inside it, without the name of a ``dict(...)`` call."""
    inner: list[ast.AST] = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.keyword):
            inner += _values(child.value)
        elif isinstance(child, ast.expr) and not (
            isinstance(node, ast.Call) and child is node.func
        ):
            inner += _values(child)
    return [node, *inner]


def _is_data(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id == "dict"
    return isinstance(node, _LITERALS)


def _where(node: ast.AST) -> str:
    return f"line {node.lineno}: {ast.unparse(node)[:60]}"
