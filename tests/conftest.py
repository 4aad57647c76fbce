"""What tests of several folders share: equal random numbers, the tools as modules, a browser."""

from __future__ import annotations

import gc
import importlib.util
import logging
import os
import random
import shutil
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# Tests are for CPUs, their processes too, of which there may be more than GPUs.
os.environ["CUDA_VISIBLE_DEVICES"] = ""
# Tests work in folders of their own.
if os.environ.get("LPV_REAL_DATA"):
    os.environ["LPV_REAL_DATA"] = os.path.abspath(os.environ["LPV_REAL_DATA"])

_TOOLS = Path(__file__).resolve().parents[1] / "tools"
_CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")

_SEED = int(os.environ.get("LPV_TEST_SEED", 0))
"""Another one shows tests whose outcome hangs on the numbers drawn."""


def pytest_configure() -> None:
    """Lets the garbage collector run a hundred times less often.

    At its usual pace it looks at a million objects, PyTorch's and the tests' own, for a quarter of
    the time; at this one the process needs a fifteenth more memory.
    """
    gc.set_threshold(100_000, 20, 20)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first: the last process is not to end long after the others."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


# Before the fixtures too, those of a module included, which a fixture of a test would follow.
@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Starts every test from the same random numbers, in whatever order and process it runs."""
    random.seed(_SEED)
    np.random.seed(_SEED)  # noqa: NPY002 - what MMOCR's transforms draw from
    torch.manual_seed(_SEED)


# Not for the whole session: as long as Playwright runs, its event loop is the thread's current one,
# and asyncio.run() of tests in other files would be refused.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium of the system, driven by Playwright; skips where either is absent."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="needs the Python package playwright"
    )
    program = next(filter(None, map(shutil.which, _CHROMIUM_NAMES)), None)
    if program is None:
        pytest.skip("needs Chromium on the PATH")
    # Chromium refuses to run its sandbox as root, as which containers of CI run.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with playwright.sync_playwright() as manager:
        running = manager.chromium.launch(executable_path=program, args=arguments)
        yield running
        running.close()


@pytest.fixture
def small_disk() -> Iterator[None]:
    """Lets no file of this process become larger than 256 kB."""
    import resource  # not on Windows

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**18, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def runs_of_its_own(monkeypatch) -> None:
    """Lets runs of this process know nothing of those of other tests.

    MMEngine names a run by its config and second, and gives runs of one name one message hub, one
    logger and one visualizer, which write where the first one did.
    """
    from lpv_mmocr.visualization import AttentionTextRecogVisualizer

    from mmengine.logging import MessageHub, MMLogger
    from mmengine.visualization import Visualizer
    from mmocr.visualization import TextRecogLocalVisualizer

    # A log handler of an earlier run holds on to a stream that pytest has closed.
    monkeypatch.setattr(logging, "raiseExceptions", False)
    visualizers = (Visualizer, TextRecogLocalVisualizer, AttentionTextRecogVisualizer)
    for kind in (MessageHub, MMLogger, *visualizers):
        monkeypatch.setattr(kind, "_instance_dict", OrderedDict())


@pytest.fixture
def load_tool():
    """Imports a script of ``tools`` as a module, which is quicker than a process of its own."""

    def load(name: str):
        spec = importlib.util.spec_from_file_location(f"tool_{Path(name).stem}", _TOOLS / name)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load
