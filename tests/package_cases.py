"""Packages made for a test."""

from __future__ import annotations

import textwrap
from pathlib import Path


def make_package(directory: Path, source: str = "") -> Path:
    directory.mkdir(parents=True)
    (directory / "__init__.py").write_text(textwrap.dedent(source))
    return directory
