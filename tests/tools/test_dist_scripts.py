"""Tests of ``dist_train.sh`` and ``dist_test.sh`` with two processes on the CPU."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path

import pytest
import torch

TOOLS = Path(__file__).resolve().parents[2] / "tools"


@pytest.fixture
def free_port() -> str:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return str(server.getsockname()[1])


def word_accuracy(log: str) -> str:
    return re.findall(r"recog/accuracy: ([\d.]+)", log)[-1]


@pytest.mark.slow
def test_two_processes_train(run_tool, toy_config, tmp_path, free_port):
    command = ["bash", TOOLS / "dist_train.sh", toy_config, 2, "--work-dir", tmp_path / "run"]
    result = run_tool(*command, PORT=free_port)
    assert result.returncode == 0, result.stderr
    saved = torch.load(tmp_path / "run/iter_4.pth", weights_only=True)
    assert saved["meta"]["iter"] == 4
    assert "module." not in next(iter(saved["state_dict"]))
    assert "GPU number: 2" in result.stdout  # MMEngine's name for the number of processes


@pytest.mark.slow
def test_two_processes_evaluate_like_one(run_tool, toy_config, toy_run, tmp_path, free_port):
    """Without --tta: tests/reporting/test_hook.py and tests/evaluation/test_benchmark_run.py."""
    checkpoint = toy_run / "iter_4.pth"
    arguments = [toy_config, checkpoint]
    options = ["--tta", "--save-preds"]
    one = run_tool(
        "python", TOOLS / "test.py", *arguments, *options, "--work-dir", tmp_path / "one"
    )
    two = run_tool(
        *["bash", TOOLS / "dist_test.sh", *arguments, 2],
        *[*options, "--work-dir", tmp_path / "two"],
        PORT=free_port,
    )
    assert one.returncode == 0, one.stderr
    assert two.returncode == 0, two.stderr
    name = "iter_4_tta_predictions.jsonl"
    rows = [
        [json.loads(line) for line in (tmp_path / folder / name).read_text().splitlines()]
        for folder in ("one", "two")
    ]
    assert len(rows[0]) == 7
    for single, double in zip(*rows, strict=True):
        assert double["scores"] == pytest.approx(single["scores"], rel=1e-4)
        assert {**double, "scores": 0, "word_score": 0} == {**single, "scores": 0, "word_score": 0}
    assert word_accuracy(two.stdout) == word_accuracy(one.stdout)


@pytest.mark.parametrize("script", ["dist_train.sh", "dist_test.sh"])
def test_too_few_arguments_show_the_usage(run_tool, script):
    result = run_tool("bash", TOOLS / script, "config.py")
    assert result.returncode == 2
    assert f"bash tools/{script} CONFIG" in result.stderr


@pytest.mark.parametrize(
    "arguments", [("dist_train.sh", "c.py"), ("dist_test.sh", "c.py", "c.pth")]
)
@pytest.mark.parametrize("number", ["0", "x", "-1", ""])
def test_number_of_processes_is_checked(run_tool, arguments, number):
    result = run_tool("bash", TOOLS / arguments[0], *arguments[1:], number)
    assert result.returncode == 2
    assert result.stderr == (
        f"error: GPUS is the number of processes on each machine, not {number}\n"
    )
