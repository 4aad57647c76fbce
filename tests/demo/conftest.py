"""Demo page, served by this process."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple

from lpv_mmocr.reading import WordReader

import pytest
from apis.inference_cases import write_toy
from mmengine.registry import init_default_scope


class Served(NamedTuple):
    """Address of a served page, its folder of uploads, and its reader."""

    address: str
    uploads: Path
    reader: WordReader


@pytest.fixture(scope="session")
def reader(tmp_path_factory) -> WordReader:
    init_default_scope("mmocr")
    checkpoint = write_toy(tmp_path_factory.mktemp("toy"))[1]
    return WordReader(checkpoint, device="cpu", attention=True)


@pytest.fixture(scope="session")
def serving(reader, tmp_path_factory) -> Callable[..., AbstractContextManager[str]]:
    """``serve`` with the reader; it restores what it changes in this process."""
    pytest.importorskip("gradio", reason="needs Gradio: pip install 'lpv-mmocr[demo]'")
    from lpv_mmocr.demo.server import serve

    @contextmanager
    def serve_and_give_back(**where: object) -> Iterator[str]:
        with pytest.MonkeyPatch.context() as patch:
            for name in ("GRADIO_TEMP_DIR", "GRADIO_ANALYTICS_ENABLED", "HF_HUB_DISABLE_TELEMETRY"):
                patch.setenv(name, "")
            for name in ("NO_PROXY", "no_proxy"):
                patch.setenv(name, os.environ.get(name, ""))
            patch.setattr("tempfile.tempdir", str(tmp_path_factory.mktemp("temporary")))
            # Uvicorn configures the logging of its process again, which closes all log files;
            # MMEngine writes to that of an earlier test when a later one initialises a model.
            patch.setattr("uvicorn.Config.configure_logging", lambda self: None)
            with serve(reader, **where) as address:
                yield address

    return serve_and_give_back


@pytest.fixture(scope="module")
def served(serving, reader, tmp_path_factory) -> Iterator[Served]:
    # Not the first free port: tests of other processes look for one at the same time.
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = logging.FileHandler(tmp_path_factory.mktemp("log") / "of_another_test.log")
    with serving(port=port) as address:
        assert log.stream, "starting the page has closed log files of other tests"
        log.close()
        uploads = Path(os.environ["GRADIO_TEMP_DIR"])
        yield Served(address, uploads, reader)
    assert not uploads.exists()
