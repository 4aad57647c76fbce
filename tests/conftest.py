"""Hooks and fixtures for all tests: fixed seeds, tools as modules, a browser."""

from __future__ import annotations

import gc
import importlib.util
import logging
import os
import random
import shutil
import sys
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# Tests and their child processes run on CPUs; there may be more processes than GPUs.
os.environ["CUDA_VISIBLE_DEVICES"] = ""
# Absolute, since some tests change the working folder.
if os.environ.get("LPV_REAL_DATA"):
    os.environ["LPV_REAL_DATA"] = os.path.abspath(os.environ["LPV_REAL_DATA"])

_TOOLS = Path(__file__).resolve().parents[1] / "tools"
_CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")

_SEED = int(os.environ.get("LPV_TEST_SEED", 0))
"""Other seeds reveal tests whose outcome depends on the random numbers."""


def pytest_configure() -> None:
    """Make the garbage collector run a hundred times less often.

    At its default frequency, traversing a million objects of PyTorch and of the tests takes a
    quarter of the time. At this one, the process needs a fifteenth more memory.
    """
    gc.set_threshold(100_000, 20, 20)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run files with slow tests first, so that no process ends long after the others."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


# A hook rather than a fixture, so that it also runs before fixtures of wider scope.
@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Seed the random numbers of every test, regardless of the order and process it runs in."""
    random.seed(_SEED)
    np.random.seed(_SEED)  # noqa: NPY002 - what MMOCR's transforms draw from
    torch.manual_seed(_SEED)


# Not session-scoped: while Playwright runs, its event loop is the thread's current one, and
# asyncio.run() in tests of other files would fail.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless system Chromium, driven by Playwright; skips the test if either is missing."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="needs the Python package playwright"
    )
    program = next(filter(None, map(shutil.which, _CHROMIUM_NAMES)), None)
    if program is None:
        pytest.skip("needs Chromium on the PATH")
    # Chromium refuses to run its sandbox as root, which is the user in CI containers.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with playwright.sync_playwright() as manager:
        running = manager.chromium.launch(executable_path=program, args=arguments)
        yield running
        running.close()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Directory on the import path for the packages of a test."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.fixture
def counted_site(site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Directory as ``site``, for packages that append what they execute to ``sys.executed``.

    They can be imported by several tests, since each forgets them at its end.
    """
    monkeypatch.setattr(sys, "executed", [], raising=False)
    yield site
    for name in list(sys.modules):
        if (site / name.partition(".")[0]).is_dir():
            del sys.modules[name]


@pytest.fixture
def small_disk() -> Iterator[None]:
    """Limit the size of files that this process writes to 256 kB."""
    import resource  # not on Windows

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**18, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def runs_of_its_own(monkeypatch) -> None:
    """Isolate the runs of a test from those of other tests.

    MMEngine names a run after its config and the current second. Runs of the same name share a
    message hub, a logger and a visualizer, which write where the first run did.
    """
    from lpv_mmocr.visualization import AttentionTextRecogVisualizer

    from mmengine.logging import MessageHub, MMLogger
    from mmengine.visualization import Visualizer
    from mmocr.visualization import TextRecogLocalVisualizer

    # A log handler of an earlier run may hold a stream that pytest has closed.
    monkeypatch.setattr(logging, "raiseExceptions", False)
    visualizers = (Visualizer, TextRecogLocalVisualizer, AttentionTextRecogVisualizer)
    for kind in (MessageHub, MMLogger, *visualizers):
        monkeypatch.setattr(kind, "_instance_dict", OrderedDict())


@pytest.fixture
def load_tool():
    """Function that imports a script of ``tools`` as a module, faster than a new process."""

    def load(name: str):
        spec = importlib.util.spec_from_file_location(f"tool_{Path(name).stem}", _TOOLS / name)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load
