"""Configs that travel as text inside checkpoints, which MMEngine runs as a Python program."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from collections.abc import Iterator

from mmengine import registry

_LITERALS = (ast.Constant, ast.List, ast.Tuple, ast.Set, ast.Dict, ast.UnaryOp)
# MMEngine replaces what stands in such brackets by variables of the environment, before it runs the
# text: what it runs is then not what was looked at.
_SUBSTITUTION = "{{"
# What MMEngine looks up in a registry. Where a dotted name is not there, it takes the path for one
# to import, and calls what it finds. (Not so one word: compat.mend_registry_lookup.)
_LOOKED_UP = frozenset(
    {"type", "collate_fn", "worker_init_fn", "padding_mode", "resize_type", "conv_type"}
    | {"ema_type", "constructor"}
)
_NAME = re.compile(r"([A-Za-z_]\w*\.(?=[A-Z]))?[A-Za-z_]\w*")
# What could be such a path under another name, and what is called as a file is.
_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
_FILE = re.compile(r".*\.(json|jsonl|txt|pkl|pth|ya?ml|csv|tsv|jpe?g|png|npz?|log|md)")
_PACKAGES = frozenset({"mmengine", "mmcv", "mmdet", "mmocr", "lpv_mmocr"})
# Options of storage backends that import a client, from a folder that they name, and of a detector
# that runs a config; and what lets LMDB write.
_REFUSED = frozenset(
    {"sys_path", "conf_path", "server_list_cfg", "client_cfg", "teacher_config", "readonly"}
)
_CLIENTS = frozenset({"memcached", "petrel", "s3"})
# Of what these name MMEngine imports the module "registry".
_SCOPES = frozenset({"_scope_", "default_scope"})
# MMOCR evaluates "condition" as Python, and MMDetection "warp_mode", which is one of these.
_MOTION = re.compile(r"cv2\.MOTION_[A-Z]+")
_SIMPLE_CALLS = frozenset({"min", "max", "len", "abs"})
_SIMPLE = (
    *(ast.Expression, ast.Constant, ast.Subscript, ast.Load),
    *(ast.Compare, ast.cmpop, ast.BoolOp, ast.boolop),
    *(ast.UnaryOp, ast.unaryop, ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Mod),
    ast.FloorDiv,
)


def code_in_config(text: str) -> str | None:
    """Look for anything in a config's text that is more than data.

    What MMEngine writes (``Config.pretty_text``) is a row of assignments of literals and of
    ``dict(key=value)`` calls; nothing else is needed to rebuild a config. Data can still lead to
    code when objects are built of it: a ``type`` may be a dotted name of anything that can be
    imported, ``custom_imports`` and scopes import modules, storage backends their clients, and a
    few arguments are evaluated. So a type must lead to nothing but what is registered, an evaluated
    argument be a comparison or a sum of items, no client of a storage must be needed, and modules
    be of OpenMMLab's packages, of this one, or imported already: whoever has a package of
    classes of their own imports it before.

    Args:
        text: A config as Python source.

    Returns:
        The first place that is more than data, for a message; None where all is data.
    """
    if _SUBSTITUTION in text:
        return f"it has {_SUBSTITUTION}, which MMEngine replaces by something else"
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
        judged: set[int] = set()
        for name, value in _named_values(statement):
            if not _is_harmless(name, value):
                return f"{_where(value)} ({name})"
            if name == "imports":
                judged |= {id(node) for node in ast.walk(value)}
        for node in _values(statement.value):
            if id(node) not in judged and _is_a_way_out(node):
                return _where(node)
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
    if isinstance(node, ast.Constant):
        # Bytes are evaluated as text is. The other is an augmenter of imgaug's that writes files.
        if isinstance(node.value, str):
            return not node.value.startswith("SaveDebugImage")
        return not isinstance(node.value, bytes)
    if isinstance(node, ast.Call):
        # Of pairs a dictionary could be made as well, whose names would go unseen.
        return isinstance(node.func, ast.Name) and node.func.id == "dict" and not node.args
    return isinstance(node, _LITERALS)


def _named_values(statement: ast.Assign) -> Iterator[tuple[str, ast.AST]]:
    """What has a name: assigned values, and the items of all dictionaries in them."""
    for target in statement.targets:
        yield target.id, statement.value
    for node in ast.walk(statement.value):
        if isinstance(node, ast.keyword) and node.arg is not None:
            yield node.arg, node.value
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(key.value, str):
                    yield key.value, value


def _is_harmless(name: str, value: ast.AST) -> bool:
    if name in _REFUSED and not (name == "teacher_config" and isinstance(value, ast.Call)):
        return False
    if name == "imports":  # of custom_imports
        modules = [node.value for node in ast.walk(value) if isinstance(node, ast.Constant)]
        return all(isinstance(module, str) and _is_at_hand(module) for module in modules)
    if not isinstance(value, ast.Constant) or not isinstance(value.value, str):
        return True
    if name in _SCOPES:
        return _is_at_hand(value.value)
    if name in _LOOKED_UP:
        return _leads_to_nothing_else(value.value)
    if name in ("backend", "prefix"):
        return value.value not in _CLIENTS
    if name == "warp_mode":
        return _MOTION.fullmatch(value.value) is not None
    return name != "condition" or _is_simple(value.value)


def _leads_to_nothing_else(name: str) -> bool:
    """Whether a name leads to something registered, or to nothing, in whatever registry."""
    if _NAME.fullmatch(name) is None:
        return False
    package, _, short = name.rpartition(".")
    if not package:
        return True
    if not _is_at_hand(package):
        return False
    found = getattr(importlib.import_module(package), short, None)
    return found is None or any(found is known for known in _registered())


def _is_a_way_out(node: ast.AST) -> bool:
    """Whether a string anywhere is a path to what can be imported and is not registered.

    Some classes look up in a registry what they get by an argument of another name than "type".
    """
    text = node.value if isinstance(node, ast.Constant) else None
    if not isinstance(text, str) or _PATH.fullmatch(text) is None or _MOTION.fullmatch(text):
        return False
    top = text.partition(".")[0]
    # Python has a module "test", too.
    if _FILE.fullmatch(text) and (top == "test" or top in sys.stdlib_module_names):
        return False
    try:
        if importlib.util.find_spec(top) is None:
            return False
    except ValueError:  # a module that was made otherwise than by importing
        pass
    return not _leads_to_nothing_else(text)


def _registered() -> Iterator[object]:
    registries = [each for each in vars(registry).values() if isinstance(each, registry.Registry)]
    while registries:
        each = registries.pop()
        yield from each.module_dict.values()
        registries += each.children.values()


def _is_at_hand(module: str) -> bool:
    """Whether importing a module runs nothing that a checkpoint has chosen."""
    return module in sys.modules or module.partition(".")[0] in _PACKAGES


def _is_simple(expression: str) -> bool:
    """Whether an expression calls next to nothing and looks into nothing but items."""
    try:
        nodes = [*ast.walk(ast.parse(expression, mode="eval"))]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    called = {id(node.func) for node in nodes if _is_simple_call(node)}
    return all(
        isinstance(node, _SIMPLE)
        or _is_simple_call(node)
        or (isinstance(node, ast.Name) and (node.id == "results" or id(node) in called))
        for node in nodes
    )


def _is_simple_call(node: ast.AST) -> bool:
    # Without "key", which names what is called for each item.
    is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    return is_call and node.func.id in _SIMPLE_CALLS and not node.keywords


def _where(node: ast.AST) -> str:
    return f"line {node.lineno}: {ast.unparse(node)[:60]}"
