"""Programs run by a fresh Python process, for tests of what importing does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]


def output_of(program: str) -> str:
    """Run a program in the checkout and return its standard output; fail if the program does."""
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout
