"""Tests of the deferred import of classes."""

from __future__ import annotations

import importlib
import sys
from concurrent.futures import ThreadPoolExecutor

from lpv_mmocr.deferred_classes import CLASSES, deferred, register

import pytest
from fresh_python import output_of

LATE = {"Late": "early_package.inner.late"}


@pytest.fixture
def package(counted_site):
    """Package ``early_package`` whose module ``inner.late`` counts its executions."""
    files = {
        "__init__.py": "__all__ = ['Early', 'Late']\nfrom .inner import Early, Late\n",
        "inner/__init__.py": "from .early import Early\nfrom .late import Late\n",
        "inner/early.py": "class Early: pass\n",
        "inner/late.py": "import sys\n"
        "sys.executed.append(__name__)\n"
        "from .early import Early\n"
        "class Late(Early): pass\n",
    }
    for name, text in files.items():
        file = counted_site / "early_package" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    return counted_site / "early_package"


USES = {
    "outer package": "import early_package; early_package.Late",
    "inner package": "import early_package.inner as inner; inner.Late",
    "name": "from early_package import Late",
    "all names": "from early_package import *; Late",
    "its module": "from early_package.inner.late import Late",
    "its module as an attribute": "import early_package; early_package.inner.late.Late",
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_class_is_imported_once_when_it_is_used(package, use):
    with deferred(LATE):
        outer = importlib.import_module("early_package")
    assert outer.Early is outer.inner.Early
    assert sys.executed == []
    for _ in range(2):
        exec(use, {})
    late = sys.modules["early_package.inner.late"]
    assert outer.Late is outer.inner.Late is late.Late
    assert issubclass(outer.Late, outer.Early)
    assert late is outer.inner.late
    assert sys.executed == ["early_package.inner.late"]


def test_packages_lack_other_names_as_before(package):
    with deferred(LATE):
        outer = importlib.import_module("early_package")
    assert not hasattr(outer, "late")
    for module in (outer, outer.inner):
        message = f"module '{module.__name__}' has no attribute 'absent'"
        with pytest.raises(AttributeError, match=message):
            _ = module.absent
        with pytest.raises(ImportError, match="cannot import name 'absent'"):
            exec(f"from {module.__name__} import absent", {})
    assert sys.executed == []


def test_error_of_the_import_is_raised_by_each_use(package):
    (package / "inner" / "late.py").write_text("raise RuntimeError('broken')\n")
    with deferred(LATE):
        importlib.import_module("early_package")
    for use in USES.values():
        with pytest.raises(RuntimeError, match="broken"):
            exec(use, {})


def test_nothing_is_left_if_the_package_is_not_imported(package):
    before = dict(sys.modules)
    with pytest.raises(KeyError), deferred(LATE):
        raise KeyError
    assert sys.modules == before


def test_an_imported_class_stays(package):
    outer = importlib.import_module("early_package")
    with deferred(LATE):
        assert importlib.reload(outer.inner.late).Late is not outer.Late
    assert not hasattr(outer, "__getattr__")


def test_other_threads_wait_for_the_class(package):
    late = package / "inner" / "late.py"
    late.write_text(f"import time\ntime.sleep(0.2)\n{late.read_text()}")
    with deferred(LATE):
        outer = importlib.import_module("early_package")
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: outer.Late, range(4)))
    assert found == [outer.Late] * 4


def test_only_one_module_is_imported_at_a_time(package):
    (package / "__init__.py").write_text("from .first import First\nfrom .second import Second\n")
    for name in ("first", "second"):
        (package / f"{name}.py").write_text(
            "import sys, time\n"
            "sys.executed.append('start')\n"
            "time.sleep(0.1)\n"
            f"class {name.title()}: pass\n"
            "sys.executed.append('end')\n"
        )
    with deferred({"First": "early_package.first", "Second": "early_package.second"}):
        outer = importlib.import_module("early_package")
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda name: getattr(outer, name), ("First", "Second")))
    assert sys.executed == ["start", "end", "start", "end"]


def test_other_names_are_not_registered():
    assert not register("OptimWrapper")
    assert not register("")


@pytest.mark.slow
def test_importing_lpv_defers_every_class():
    """Afterwards, packages and registries find each of them, and the optimiser optimises."""
    program = f"""
import sys, lpv_mmocr
sharding = [*{CLASSES}.values(), "torch.distributed.fsdp", "torch.distributed.tensor"]
print([name for name in sharding if name in sys.modules])
import mmengine._strategy, mmengine.model, mmengine.optim, mmocr.registry
from lpv_mmocr.registry_lookup import no_imports_by_name
from mmengine.registry import STRATEGIES
for registry, package, name in (
    (STRATEGIES, mmengine._strategy, "FSDPStrategy"),
    (mmocr.registry.MODEL_WRAPPERS, mmengine.model, "mmengine.MMFullyShardedDataParallel"),
    (mmocr.registry.OPTIMIZERS, mmengine.optim, "ZeroRedundancyOptimizer"),
):
    with no_imports_by_name():
        print(registry.get(name), end=" ")
    found = registry.get(name)
    print(found.__name__, "extends", found.__bases__[0].__name__, end=" ")
    again = registry.get(found.__name__), registry.get("mmengine." + found.__name__)
    same = {{*again, getattr(package, found.__name__)}} == {{found}}
    print(same, mmocr.registry.MODELS.get(name))
import torch
store = torch.distributed.HashStore()
torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
model = torch.nn.Linear(1, 1, bias=False)
optimizer = dict(type="ZeroRedundancyOptimizer", optimizer_type="SGD", lr=0.5)
wrapper = mmengine.optim.build_optim_wrapper(model, dict(type="OptimWrapper", optimizer=optimizer))
before = model.weight.item()
wrapper.update_params(model(torch.ones(1, 1)).sum())
print(round(before - model.weight.item(), 4))
"""
    assert output_of(program).splitlines() == [
        "[]",
        "None FSDPStrategy extends DDPStrategy True None",
        "None MMFullyShardedDataParallel extends FullyShardedDataParallel True None",
        "None ZeroRedundancyOptimizer extends ZeroRedundancyOptimizer True None",
        "0.5",
    ]
