"""Shared fixtures for the tests of the tools: a tiny word dataset, its config and runners."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

from lpv_mmocr.datasets import LMDBWriter

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]


def write_digits(folder: Path, count: int, seed: int) -> None:
    """Write an LMDB of ``count`` images of one or two digits."""
    rng = np.random.default_rng(seed)
    with LMDBWriter(folder) as writer:
        for _ in range(count):
            text = str(rng.integers(0, 100))
            image = np.full((32, 64, 3), 255, np.uint8)
            cv2.putText(image, text, (6, 26), cv2.FONT_HERSHEY_SIMPLEX, 0.9, (0, 0, 0), 2)
            writer.write(cv2.imencode(".png", image)[1].tobytes(), text)


@pytest.fixture(scope="session")
def toy_data(tmp_path_factory) -> Path:
    """Folder of the LMDBs ``train`` (24 words) and ``val`` (7 words, deliberately odd)."""
    folder = tmp_path_factory.mktemp("toy_data")
    write_digits(folder / "train", 24, seed=0)
    write_digits(folder / "val", 7, seed=1)
    return folder


@pytest.fixture
def digits():
    """Return a function that writes an LMDB of words: ``digits(folder, count, seed)``."""
    return write_digits


@pytest.fixture(scope="session")
def toy_config(tmp_path_factory) -> Path:
    """Toy config, reduced so that a few iterations take almost no time."""
    file = tmp_path_factory.mktemp("toy_config") / "tiny_steps.py"
    file.write_text(
        f"""
_base_ = {str(ROOT / "configs/textrecog/lpv/lpv-toy_digits.py")!r}
model = dict(
    encoder=dict(embed_dims=(8, 8, 16), num_heads=(1, 1, 2)),
    decoder=dict(in_channels=16, glrm=dict(ffn_dim=16)),
)
train_dataloader = dict(batch_size=4)
val_dataloader = dict(batch_size=2)
test_dataloader = dict(batch_size=2)
param_scheduler = None
train_cfg = dict(max_iters=4, val_interval=4)
default_hooks = dict(checkpoint=dict(interval=2), logger=dict(interval=1))
"""
    )
    return file


@pytest.fixture
def run_tool(toy_data, tmp_path):
    """Return a function that runs a command of the checkout in an empty folder."""

    def run(*command: object, **variables: str) -> subprocess.CompletedProcess:
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "LPV_TOY_DATA": str(toy_data),
            "OMP_NUM_THREADS": "1",
            "COLUMNS": "200",
            **variables,
        }
        return subprocess.run(
            [str(part) for part in command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=1800,
        )

    return run


@pytest.fixture(scope="session")
def toy_run(toy_data, toy_config, tmp_path_factory) -> Path:
    """Work folder of a complete training run of four iterations, started as a command."""
    folder = tmp_path_factory.mktemp("toy_run")
    command = [sys.executable, ROOT / "tools" / "train.py", toy_config, "--work-dir", folder]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "LPV_TOY_DATA": str(toy_data),
        "OMP_NUM_THREADS": "1",
    }
    result = subprocess.run(
        list(map(str, command)), cwd=folder, env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture
def tool_in_process(load_tool, toy_data, tmp_path, monkeypatch, runs_of_its_own):
    """Return a loader of tools: ``tool_in_process(name)(*arguments)`` gives the exit status."""
    monkeypatch.setenv("LPV_TOY_DATA", str(toy_data))
    monkeypatch.chdir(tmp_path)

    def runner(name: str):
        tool = load_tool(name)

        def run(*arguments: object) -> int:
            try:
                return tool.main([str(argument) for argument in arguments])
            except SystemExit as end:
                return end.code

        return run

    return runner


@pytest.fixture
def close_pipe(monkeypatch):
    """Function that makes standard output a pipe whose reader is gone, as ``head`` may be."""

    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    def close() -> None:
        monkeypatch.setattr("sys.stdout", Closed())
        for module in ("lpv_mmocr.cli", "lpv_onnx.standard_streams"):
            monkeypatch.setattr(f"{module}.discard_output", lambda: None)

    return close
