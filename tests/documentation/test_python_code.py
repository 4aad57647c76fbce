"""Tests that run the Python code of every document, in order, in a folder with small data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import mmengine.registry
import mmocr.registry
import pytest
import sandbox
from documented_code import DOCUMENTS, blocks
from mmengine.config import Config
from mmengine.registry import Registry, init_default_scope

NOT_RUN = {
    "MMOCRInferencer": "downloads a detector; tests/apis/test_mmocr_inferencer.py",
}
"""Words that mark blocks as only compiled, and why."""

REGISTRIES = [value for value in vars(mmocr.registry).values() if isinstance(value, Registry)] + [
    mmengine.registry.RUNNERS
]


@pytest.fixture
def names(tmp_path, monkeypatch, load_tool, runs_of_its_own) -> dict:
    """Names that the text explains and the code may use, in a folder with data."""
    init_default_scope("mmocr")
    sandbox.fill(tmp_path, load_tool("model_converters/official_to_mmocr.py").main)
    (tmp_path / "words" / "labels.tsv").unlink()  # MMOCR takes every file of a folder for an image
    monkeypatch.chdir(tmp_path)
    return dict(
        image=sandbox.word_image("one"),
        paths=["word.jpg", "my_word.png"],
        test_pipeline=[],
        dataloader=sandbox.training_loader(Path("data/train")),
        iteration=3,
    )


def types_of(value: object) -> Iterator[str]:
    """Yield the ``type`` of all configs inside a value."""
    if isinstance(value, dict):
        if isinstance(value.get("type"), str):
            yield value["type"]
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for part in value:
            yield from types_of(part)


@pytest.mark.slow
@pytest.mark.parametrize("document", [name for name in DOCUMENTS if blocks(name, "python")])
def test_python_code_of_the_document_runs(document, names):
    given = set(names)
    for block in blocks(document, "python"):
        code = compile(block, document, "exec")
        if block.startswith("_base_"):  # a config, whose file refers to what it inherits
            Path("config.py").write_text(block, encoding="utf-8")
            names.update(Config.fromfile("config.py"))
        elif not any(word in block for word in NOT_RUN):
            exec(code, names)
    assigned = {name: value for name, value in names.items() if name not in given}
    unknown = {
        kind
        for value in assigned.values()
        for kind in types_of(value)
        if not any(registry.get(kind) for registry in REGISTRIES)
    }
    assert not unknown
