"""Tests of the command ``lpv-mmocr demo``."""

from __future__ import annotations

import builtins
import io
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
from apis.inference_cases import ROOT, write_toy
from fresh_python import output_of
from mmengine.registry import init_default_scope


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    init_default_scope("mmocr")
    return write_toy(tmp_path_factory.mktemp("toy"))[1]


@pytest.fixture
def demo(tool_in_process, capsys):
    """Return a function that runs the tool and returns its exit status and standard error."""
    run = tool_in_process("demo.py")
    return lambda *arguments: (run(*arguments), capsys.readouterr().err)


@pytest.fixture
def telephone():
    """Address of a proxy that forwards nothing, and the list of requests that it received."""
    calls: list[bytes] = []
    server = socket.create_server(("127.0.0.1", 0))

    def listen() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                calls.append(connection.recv(200))

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.getsockname()[1]}", calls
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join()


@contextmanager
def heeded(*numbers: signal.Signals) -> Iterator[None]:
    """Give signals their default handlers, also if, as by nohup, they are ignored."""
    before = [signal.signal(number, signal.SIG_DFL) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_demo_serves_until_it_is_terminated(checkpoint, telephone, tmp_path, name):
    """It contacts no other host, and removes the folder of uploads when it ends."""
    pytest.importorskip("gradio", reason="needs Gradio: pip install 'lpv-mmocr[demo]'")
    proxy, calls = telephone
    environment = {
        **{name: value for name, value in os.environ.items() if "proxy" not in name.lower()},
        **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), proxy),
        "PYTHONPATH": str(ROOT),
        "TMPDIR": str(tmp_path),
        "LPV_WEIGHTS": str(checkpoint),
    }
    command = [sys.executable, "-m", "lpv_mmocr_cli", "demo", "--device", "cpu"]
    with (
        heeded(getattr(signal, name)),
        subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as process,
    ):
        try:
            line = next(line for line in process.stdout if "http" in line)
            assert line.startswith("The page is at http://127.0.0.1:")
            with urllib.request.urlopen(line.split()[4], timeout=30) as page:
                assert page.status == 200
            assert list(tmp_path.glob("lpv-demo-*"))
        finally:
            for _ in range(3):  # timeout(1), for example, sends it twice
                process.send_signal(getattr(signal, name))
    assert process.returncode == 0
    assert not list(tmp_path.glob("lpv-demo-*"))
    assert calls == []


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_signal_may_come_as_soon_as_the_address_is_printed(demo, checkpoint, monkeypatch, name):
    class Terminating(io.StringIO):
        def write(self, text: str) -> int:
            os.kill(os.getpid(), getattr(signal, name))
            return super().write(text)

    monkeypatch.setattr("lpv_mmocr.demo.server.serve", lambda *_, **__: nullcontext("http://x"))
    monkeypatch.setattr(sys, "stdout", Terminating())
    with heeded(signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        assert demo("--weights", checkpoint, "--device", "cpu") == (0, "")


def test_port_in_use_is_reported(demo, checkpoint, monkeypatch):
    pytest.importorskip("gradio", reason="needs Gradio: pip install 'lpv-mmocr[demo]'")
    for name in ("GRADIO_TEMP_DIR", "GRADIO_ANALYTICS_ENABLED", "HF_HUB_DISABLE_TELEMETRY"):
        monkeypatch.setenv(name, "")
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, log = demo("--weights", checkpoint, "--device", "cpu", "--port", port)
    assert status == 2
    assert log == f"error: port {port} is in use; choose another with --port, or leave it out\n"


def test_address_is_checked_before_the_model_is_loaded(demo):
    status, log = demo("--weights", "gone.pth", "--host", "1.2.3.4")
    assert (status, log) == (2, "error: this machine has no address 1.2.3.4 (--host)\n")


def test_missing_gradio_is_reported_with_how_to_install_it(demo, checkpoint, monkeypatch):
    found = builtins.__import__

    def without_gradio(name, *rest, **options):
        if name.partition(".")[0] == "gradio":
            raise ModuleNotFoundError("No module named 'gradio'", name="gradio")
        return found(name, *rest, **options)

    for name in ("GRADIO_TEMP_DIR", "GRADIO_ANALYTICS_ENABLED", "HF_HUB_DISABLE_TELEMETRY"):
        monkeypatch.setenv(name, "")
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(builtins, "__import__", without_gradio)
    status, log = demo("--weights", checkpoint, "--device", "cpu")
    assert status == 2
    assert "error: the page needs Gradio, but gradio is missing: pip install" in log


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--port", "0"), "--port must be from 1 to 65535, got 0"),
        (("--port", "x"), "invalid int value: 'x'"),
        (("--weights", "gone.pth"), "error: there is no checkpoint gone.pth"),
        (("--config", "gone.py"), "error: there is no config file gone.py"),
    ],
)
def test_bad_input_is_rejected(demo, checkpoint, arguments, message, monkeypatch):
    monkeypatch.setenv("LPV_WEIGHTS", str(checkpoint))
    status, log = demo(*arguments)
    assert status == 2
    assert message in log and "Traceback" not in log


def test_help_imports_no_slow_modules():
    code = (
        "import sys, runpy; sys.argv = ['demo', '--help']\n"
        "try: runpy.run_path('tools/demo.py', run_name='__main__')\n"
        "except SystemExit as end: assert end.code == 0\n"
        "slow = {'torch', 'mmengine', 'numpy', 'gradio'} & set(sys.modules); assert not slow"
    )
    assert "lpv-mmocr demo --weights lpv-mini" in output_of(code)
