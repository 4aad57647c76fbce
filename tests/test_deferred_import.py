"""Tests of the deferred import of modules."""

from __future__ import annotations

import importlib
import inspect
import sys
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

from lpv_mmocr.deferred_import import SELDOM_USED, deferred

import pytest
from fresh_python import output_of


@pytest.fixture
def package(counted_site):
    """Package ``late_package`` that counts its executions, with a module ``inner``."""
    folder = counted_site / "late_package"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "import sys\n"
        "sys.executed.append(__name__)\n"
        "__all__ = ['value']\n"
        "value = 1\n"
        "from . import inner\n"
        "total = value + inner.value\n"
    )
    (folder / "inner.py").write_text(
        "import sys\n"
        "sys.executed.append(__name__)\n"
        "from late_package import value as outer_value\n"
        "value = outer_value + 1\n"
    )
    return folder


USES = {
    "attribute": "import late_package; late_package.total",
    "name": "from late_package import value",
    "all names": "from late_package import *",
    "submodule": "import late_package.inner",
    "name of a submodule": "from late_package.inner import value",
    "list of the names": "import late_package; dir(late_package)",
    "dictionary": "import late_package; late_package.__dict__['total']",
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
@pytest.mark.parametrize("within", [True, False])
def test_module_is_executed_once_when_it_is_used(package, use, within):
    with deferred(["late_package"]):
        substitute = importlib.import_module("late_package")
        assert sys.executed == []
        if within:
            exec(use, {})
    exec(use, {})
    exec(use, {})
    assert sys.executed == ["late_package", "late_package.inner"]
    assert substitute.total == 3
    assert substitute.inner is sys.modules["late_package.inner"]
    assert substitute.inner.__spec__.origin == str(package / "inner.py")


def test_substitute_passes_on_everything(package):
    with deferred(["late_package"]):
        substitute = importlib.import_module("late_package")
    actual = importlib.import_module("late_package")
    assert type(actual) is ModuleType
    substitute.value = 4
    assert actual.value == 4
    del substitute.total
    assert not hasattr(actual, "total")
    assert vars(substitute) is vars(actual)
    assert dir(substitute) == dir(actual)
    assert substitute.__path__ == actual.__path__
    assert repr(substitute).split() == repr(actual).split()


def test_nothing_is_left_of_an_unused_module(package):
    before = list(sys.meta_path)
    with deferred(["late_package"]):
        importlib.import_module("late_package")
    assert "late_package" not in sys.modules
    assert sys.meta_path == before
    assert importlib.reload(importlib.import_module("late_package")).total == 3


def test_inspection_of_all_modules_does_not_import_it(package):
    with deferred(["late_package"]):
        module = importlib.import_module("late_package")
        inspect.getmodule(inspect.currentframe())
        assert module.__file__ == str(package / "__init__.py")
        assert module.__name__ == "late_package"
        importlib.import_module("late_package")
    assert sys.executed == []


def test_missing_attribute_is_reported_as_for_any_module(package):
    with deferred(["late_package"]):
        module = importlib.import_module("late_package")
        with pytest.raises(ImportError, match="cannot import name 'absent' from 'late_package'"):
            exec("from late_package import absent", {})
    with pytest.raises(AttributeError, match="'late_package' has no attribute 'absent'"):
        _ = module.absent


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_error_of_the_import_is_raised_by_each_use(package, use):
    (package / "__init__.py").write_text("raise RuntimeError('broken')\n")
    with deferred(["late_package"]):
        importlib.import_module("late_package")
        for _ in range(2):
            with pytest.raises(RuntimeError, match="broken"):
                exec(use, {})
    with pytest.raises(RuntimeError, match="broken"):
        exec(use, {})


@pytest.mark.parametrize("names", [["late_package"], ["late_package", "late_package.inner"]])
def test_modules_may_need_each_other(package, names):
    (package / "inner.py").write_text(
        "import late_package\nfrom late_package import value as outer\nvalue = outer + 1\n"
    )
    with deferred(names):
        module = importlib.import_module("late_package")
    assert module.total == 3


def test_other_threads_wait_for_the_complete_module(package):
    (package / "__init__.py").write_text(
        "import sys, time\nsys.executed.append(__name__)\nfirst = 1\ntime.sleep(0.2)\nlast = 1\n"
    )
    with deferred(["late_package"]):
        module = importlib.import_module("late_package")
    names = ("first", "last", "last", "last")
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda name: getattr(module, name), names))
    assert found == [1] * 4
    assert sys.executed == ["late_package"]


def test_other_modules_are_imported_at_once(package):
    with deferred(["late_package.inner", "late_package.absent", "math", "json"]):
        assert importlib.import_module("late_package").value == 1
        with pytest.raises(ModuleNotFoundError, match=r"late_package\.absent"):
            importlib.import_module("late_package.absent")
        assert type(importlib.import_module("math")) is ModuleType
    assert type(sys.modules["json"]) is ModuleType


@pytest.mark.slow
def test_importing_lpv_imports_no_seldom_used_module():
    program = (
        "import sys, lpv_mmocr\n"
        "compiler = 'torch._dynamo'\n"
        f"print([name for name in (*{SELDOM_USED}, compiler) if name in sys.modules])\n"
        "import mmdet.utils.mot_error_visualize as user, torchvision, scipy\n"
        "print(user.plt.figure.__name__, scipy.stats.norm.cdf(0))\n"
        "print(torchvision.models.__dict__['resnet18'].__name__, torchvision.ops.nms.__name__)\n"
    )
    assert output_of(program).splitlines() == ["[]", "figure 0.5", "resnet18 nms"]
