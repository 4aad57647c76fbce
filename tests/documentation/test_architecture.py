"""Tests that the package has the layers of docs/architecture.md."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from documented_code import ROOT

PACKAGE = ROOT / "lpv_mmocr"
OUTSIDE = {"__init__", "version"}
"""Modules that are not layers: the package itself, and its version number."""


def layers() -> dict[str, int]:
    """Return the line in the document's table for each folder and module."""
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    rows = text.split("| folder or file |")[1].split("\n\n")[0].splitlines()[2:]
    cells = [row.split("|")[1] for row in rows]
    return {
        re.sub(r"/$|\.py$", "", name): line
        for line, cell in enumerate(cells)
        for name in re.findall(r"`([^`]+)`", cell)
    }


def imported(tree: ast.Module, module: tuple[str, ...]) -> Iterator[str]:
    """Yield the layers that a module imports when it is imported, including its own.

    Args:
        tree: Syntax tree of the module.
        module: Name of the module within the package, as (layer, …, module).
    """
    # Imports within a function run when it is called, after all modules have been imported.
    within = {id(node) for f in ast.walk(tree) if is_function(f) for node in ast.walk(f)}
    for node in ast.walk(tree):
        if id(node) in within:
            continue
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            folder = ("lpv_mmocr", *module)[: -node.level] if node.level else ()
            source = ".".join((*folder, *filter(None, [node.module])))
            names = [f"{source}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            root, _, rest = name.partition(".")
            if root == "lpv_mmocr" and rest:
                yield rest.partition(".")[0]


def is_function(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)


def test_imports_are_found_outside_functions():
    tree = ast.parse(
        "import os, lpv_mmocr.models.glrm\n"
        "from . import chunk\n"
        "from .. import cli, compat\n"
        "from ..engine.amp import X\n"
        "from lpv_mmocr import deploy\n"
        "def f():\n    from ..reading import read\n"
    )
    found = list(imported(tree, ("streaming", "pool")))
    assert found == ["models", "streaming", "cli", "compat", "engine", "deploy"]


def test_table_has_every_folder_and_module():
    there = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
    there = {name for name in there if name.isidentifier() and name != "__pycache__"} - OUTSIDE
    assert there == set(layers())


def test_imports_are_only_from_layers_above():
    order, wrong = layers(), []
    for file in sorted(PACKAGE.rglob("*.py")):
        module = file.relative_to(PACKAGE).with_suffix("").parts
        if module[0] in OUTSIDE:
            continue
        found = imported(ast.parse(file.read_text(encoding="utf-8")), module)
        # Names that are not in the table are those of the package itself, such as its version.
        wrong += [
            f"{'/'.join(module)}.py imports {name}"
            for name in found
            if order.get(name, -1) > order[module[0]]
        ]
    assert not wrong


def test_imports_within_the_package_are_relative():
    named = re.compile(r"^\s*(from|import) lpv_mmocr\b", re.MULTILINE)
    assert not [
        str(file.relative_to(PACKAGE))
        for file in PACKAGE.rglob("*.py")
        if named.search(file.read_text(encoding="utf-8"))
    ]
