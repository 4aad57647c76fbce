"""Configs that travel as text inside checkpoints, which MMEngine runs as a Python program.

An inferencer that is given weights alone takes the config inside them. It runs the text, imports
what ``custom_imports`` and scopes name, and builds the model, the test pipeline and the visualizer.
The file may be anybody's, so that the text has to pass two checks first: it must be data, and the
parts that are built must be made of classes that do nothing but recognise and prepare pictures.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from collections.abc import Iterator
from typing import Any

from mmengine import registry

# MMEngine replaces what stands in such brackets by variables of the environment, before it runs the
# text: what it runs is then not what was looked at.
_SUBSTITUTION = "{{"
_BUILT = ("model", "test_dataloader", "visualizer")
"""The parts that inferencers build."""
_OPENMMLAB = frozenset({"mmengine", "mmcv", "mmdet", "mmocr"})
_TRANSFORMS = frozenset(
    {
        *("LoadImageFromFile", "LoadImageFromNDArray", "InferencerLoader"),
        *("LoadOCRAnnotations", "LoadKIEAnnotations"),
        *("LoadAnnotations", "LoadPanopticAnnotations"),
        *("Resize", "RescaleToHeight", "ShortScaleAspectJitter", "FixScaleResize"),
        *("Pad", "PadToWidth", "Normalize", "CenterCrop", "FixInvalidPolygon"),
        *("PackTextRecogInputs", "PackTextDetInputs", "PackKIEInputs", "PackDetInputs"),
    }
)
"""OpenMMLab's transforms that a test needs. Of the others some evaluate their arguments as Python,
write files or fetch what is at an address."""
_STORAGE = (None, {"backend": "disk"}, {"backend": "local"})
"""Where pictures may come from. The other backends import clients, and connect to servers."""
_NAME = re.compile(r"([A-Za-z_]\w*\.(?=[A-Z]))?[A-Za-z_]\w*")
_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
_MOTION = re.compile(r"cv2\.MOTION_[A-Z]+")


def code_in_config(text: str) -> str | None:
    """Look for anything in a config's text that is more than data, or leads to more.

    What MMEngine writes (``Config.pretty_text``) is a row of assignments of literals and of
    ``dict(key=value)`` calls; nothing else is needed to rebuild a config. Data can still lead to
    code when objects are built of it. So modules that are imported must be of OpenMMLab's packages,
    of this one, or imported already (whoever has a package of classes of their own imports it
    before); a string that is built must not be the path of anything but a registered class; a
    transform of OpenMMLab's must be one that tests need, and pictures come from the disk.

    Args:
        text: A config as Python source.

    Returns:
        The first place that is more, for a message; None where all is data.
    """
    if _SUBSTITUTION in text:
        return f"it has {_SUBSTITUTION}, which MMEngine replaces by something else"
    try:
        config = _assigned(text)
        return next(_ways_out(config), None)
    except _NotDataError as error:
        return str(error)
    except (SyntaxError, TypeError, ValueError, RecursionError, MemoryError) as error:
        return f"{type(error).__name__} in the text"


# --- The text ---------------------------------------------------------------------------------


class _NotDataError(Exception):
    """A part of the text is more than data."""

    def __init__(self, node: ast.AST, why: str = "") -> None:
        super().__init__(f"line {node.lineno}: {ast.unparse(node)[:60]}{why}")


def _assigned(text: str) -> dict[str, Any]:
    """What the text assigns to names, found without running it."""
    config = {}
    for statement in ast.parse(text).body:
        if not isinstance(statement, ast.Assign):
            raise _NotDataError(statement)
        value = _data(statement.value)
        for target in statement.targets:
            if not isinstance(target, ast.Name):
                raise _NotDataError(statement)
            if target.id == "_base_":
                raise _NotDataError(statement, " (another file)")
            config[target.id] = value
    return config


def _data(node: ast.expr) -> Any:
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        return [_data(item) for item in node.elts]
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        return _merged((key and _literal(key), _data(value)) for key, value in pairs)
    if isinstance(node, ast.Call):
        is_dict = isinstance(node.func, ast.Name) and node.func.id == "dict" and not node.args
        if not is_dict:
            raise _NotDataError(node)
        return _merged((keyword.arg, _data(keyword.value)) for keyword in node.keywords)
    return _literal(node)


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise _NotDataError(node) from None


def _merged(pairs: Iterator[tuple[Any, Any]]) -> dict:
    """A dictionary of pairs; what has no key is one itself, given as ``**{...}``."""
    result = {}
    for key, value in pairs:
        result.update(value if key is None else {key: value})
    return result


# --- The data ---------------------------------------------------------------------------------


def _ways_out(config: dict[str, Any]) -> Iterator[str]:
    """Places in a config from which MMEngine would come to code of the config's choice."""
    for place, module in _leaves("custom_imports", config.get("custom_imports")):
        if isinstance(module, str) and not _is_at_hand(module):
            yield _shown(place, module)
    scope = config.get("default_scope")
    if scope is not None and not _is_at_hand(str(scope)):
        yield _shown("default_scope", scope)
    for part in _BUILT:
        for place, value in _leaves(part, config.get(part)):
            if not _is_harmless(place, value):
                yield _shown(place, value)


def _leaves(place: str, value: Any) -> Iterator[tuple[str, Any]]:
    """A value and all in it, each with its place, such as ``model.encoder.type``."""
    yield place, value
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(f"{place}.{key}", item)
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from _leaves(f"{place}[{position}]", item)


def _shown(place: str, value: Any) -> str:
    return f"{place} = {str(value)[:60]!r}"


def _is_harmless(place: str, value: Any) -> bool:
    name = place.rpartition(".")[2]
    if name in ("backend_args", "file_client_args"):
        return value in _STORAGE
    if not isinstance(value, str):
        return True
    if name == "_scope_":
        return _is_at_hand(value)
    if name == "type":
        return _leads_to_a_class(value) and (".pipeline" not in place or _is_for_tests(value))
    # MMDetection evaluates the first, which is one of these names, and runs the second as a config.
    if name == "warp_mode":
        return _MOTION.fullmatch(value) is not None
    # A training tells its visualizer where to write when it starts, not in its config.
    if name in ("teacher_config", "save_dir"):
        return False
    # Files of a data set, which is not read here: "train.txt" is no module "train".
    if place.startswith("test_dataloader") and not re.search(r"\.(pipeline|collate_fn)\b", place):
        return True
    return name in ("dict_file", "checkpoint") or not _is_a_way_out(value)


def _is_at_hand(module: str) -> bool:
    """Whether importing a module runs nothing that a checkpoint has chosen."""
    return module in sys.modules or module.partition(".")[0] in (*_OPENMMLAB, "lpv_mmocr")


def _leads_to_a_class(name: str) -> bool:
    """Whether a name leads to something registered, or to nothing, in whatever registry.

    MMEngine takes a dotted name that is not registered for a path to import, and calls what it
    finds. (Not so one word: compat.mend_registry_lookup.) MMCV evaluates the type of its operator
    ``nms`` as Python.
    """
    if _NAME.fullmatch(name) is None:
        return False
    package, _, short = name.rpartition(".")
    if not package:
        return True
    if not _is_at_hand(package):
        return False
    found = getattr(importlib.import_module(package), short, None)
    return found is None or any(found is known for _, known in _registered())


def _is_for_tests(transform: str) -> bool:
    """Whether a transform is one that tests need, or none of OpenMMLab's."""
    name = transform.rpartition(".")[2]
    origins = {
        known.__module__.partition(".")[0] for other, known in _registered() if other == name
    }
    return name in _TRANSFORMS or not origins & _OPENMMLAB


def _is_a_way_out(text: str) -> bool:
    """Whether a string is a path to what can be imported and is not registered.

    Some classes look up in a registry what they get by an argument of another name than "type".
    """
    if _PATH.fullmatch(text) is None:
        return False
    try:
        if importlib.util.find_spec(text.partition(".")[0]) is None:
            return False
    except ValueError:  # a module that was made otherwise than by importing
        pass
    return not _leads_to_a_class(text)


def _registered() -> Iterator[tuple[str, Any]]:
    """All that is registered anywhere, with its name."""
    registries = [each for each in vars(registry).values() if isinstance(each, registry.Registry)]
    while registries:
        each = registries.pop()
        yield from each.module_dict.items()
        registries += each.children.values()
