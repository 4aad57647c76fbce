from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_benchmark_command_reports_both_datasets(tmp_path):
    command = [sys.executable, "tools/analysis_tools/benchmark_lmdb.py", "--num", "500"]
    output = subprocess.run(
        [*command, "--reads", "50", "--rounds", "1", "--folder", str(tmp_path / "here")],
        check=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    for name in ("LPVLMDBDataset", "RecogLMDBDataset"):
        assert re.search(rf"{name} +\d+\.\d+ s .* MB resident", output)
        assert re.search(rf"{name}, decoding +[\d,]+ samples", output)
    assert list((tmp_path / "here").iterdir()) == [], "nothing is left behind"
