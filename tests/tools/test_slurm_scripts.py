"""Tests of ``slurm_train.sh`` and ``slurm_test.sh``, with a stand-in for ``srun``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"


@pytest.fixture
def srun(tmp_path) -> str:
    """PATH whose ``srun`` prints its arguments and, if RUN_IT is set, runs the command."""
    script = tmp_path / "bin" / "srun"
    script.parent.mkdir()
    script.write_text(
        """#!/usr/bin/env bash
echo "srun $*"
while [[ $1 != python ]]; do shift; done
[[ -z ${RUN_IT:-} ]] && exit 0
export SLURM_PROCID=0 SLURM_NTASKS=1 SLURM_LOCALID=0 SLURM_NODELIST=localhost
exec "$@"
"""
    )
    script.chmod(0o755)
    return f"{script.parent}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}/usr/bin:/bin"


def test_gpus_are_requested(run_tool, srun):
    result = run_tool(
        *["bash", TOOLS / "slurm_train.sh", "part", "job", "config.py", "--amp"],
        PATH=srun,
        GPUS="16",
        SRUN_ARGS="--time 5 --exclusive",
    )
    assert result.stdout.strip() == (
        "srun -p part --job-name=job --gres=gpu:8 --ntasks-per-node=8 --ntasks=16 "
        f"--cpus-per-task=5 --kill-on-bad-exit=1 --time 5 --exclusive python -u {TOOLS}/train.py "
        "--launcher slurm config.py --amp"
    )


def test_gpus_per_node_do_not_exceed_the_total(run_tool, srun):
    result = run_tool(
        *["bash", TOOLS / "slurm_test.sh", "part", "job", "config.py", "weights.pth"],
        PATH=srun,
        GPUS="2",
    )
    assert "--gres=gpu:2 --ntasks-per-node=2 --ntasks=2 " in result.stdout
    assert f"{TOOLS}/test.py --launcher slurm config.py weights.pth" in result.stdout


@pytest.mark.slow
def test_runs_on_the_cpu(run_tool, srun, toy_config, toy_run):
    result = run_tool(
        *["bash", TOOLS / "slurm_test.sh", "part", "job", toy_config, toy_run / "iter_4.pth"],
        PATH=srun,
        RUN_IT="1",
        GPUS="1",
        GPUS_PER_NODE="0",
        MASTER_ADDR="127.0.0.1",
    )
    assert result.returncode == 0, result.stderr
    assert "--gres" not in result.stdout
    assert "recog/accuracy" in result.stdout


def test_too_few_arguments_show_the_usage(run_tool):
    result = run_tool("bash", TOOLS / "slurm_train.sh", "part", "job")
    assert result.returncode == 2
    assert "slurm_train.sh PARTITION JOB_NAME CONFIG" in result.stderr
