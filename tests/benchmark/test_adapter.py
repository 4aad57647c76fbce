"""Tests of adapters for recognisers of other projects."""

from __future__ import annotations

from lpv_mmocr.benchmark.adapter import load_adapter
from lpv_mmocr.cli import InputError

import pytest


def test_adapter_returns_module_and_size(adapter_file):
    module, size = load_adapter(adapter_file, "flat")
    assert type(module).__name__ == "Flat"
    assert size == (8, 16)


def test_adapter_imports_neighbouring_modules(tmp_path):
    (tmp_path / "neighbour_of_adapter.py").write_text("SIZE = (4, 6)\n")
    file = tmp_path / "adapter.py"
    file.write_text(
        "from torch import nn\nimport neighbour_of_adapter\n"
        "def build():\n    return nn.Identity(), neighbour_of_adapter.SIZE\n"
    )
    assert load_adapter(str(file), "build")[1] == (4, 6)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("missing", "no such function; the file has flat, fails, number"),
        ("fails", "failed .RuntimeError: no weights here"),
        ("number", "must return a torch.nn.Module and the .height, width.*got int"),
        ("sizeless", "got Flat"),
        ("negative", r"must return \(height, width\) in pixels, got \(0, 4\)"),
    ],
)
def test_faulty_adapter_is_refused(adapter_file, function, message):
    with pytest.raises(InputError, match=message):
        load_adapter(adapter_file, function)


def test_faulty_adapter_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="there is no adapter file"):
        load_adapter(str(tmp_path / "none.py"), "build")
    file = tmp_path / "broken.py"
    file.write_text("import no_such_package_anywhere\n")
    with pytest.raises(InputError, match=r"cannot be run \(ModuleNotFoundError"):
        load_adapter(str(file), "build")
