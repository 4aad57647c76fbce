"""Whether a shipped file is the one that was published, by a list as ``sha256sum`` writes it."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

LIST = "SHA256SUMS"
"""Name of the list, in the folder of the files."""

_LINE = re.compile(r"([0-9a-fA-F]{64}) [ *](.+)")


def sha256(file: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal digits."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def verify(file: Path) -> None:
    """Compare a file with the list beside it, if there is one.

    Raises:
        ValueError: If the file is another, or the list has no line for it or cannot be read.
    """
    listed = file.parent / LIST
    if not listed.is_file():
        return
    expected = _read(listed).get(file.name)
    if expected is None:
        raise ValueError(f"{listed} has no line for {file.name}. {_advice(file, listed)}")
    if sha256(file) != expected:
        raise ValueError(
            f"{file} is not the file that was published: its SHA-256 is not that in {listed}. "
            f"{_advice(file, listed)}"
        )


def record(file: Path) -> Path:
    """Write the line of a file into the list beside it, in place of an earlier one.

    Returns:
        The list.

    Raises:
        ValueError: If there is a list that cannot be read.
    """
    listed = file.parent / LIST
    sums = _read(listed) if listed.is_file() else {}
    sums[file.name] = sha256(file)
    lines = (f"{digest}  {name}\n" for name, digest in sorted(sums.items()))
    listed.write_text("".join(lines), encoding="utf-8")
    return listed


def _advice(file: Path, listed: Path) -> str:
    return (
        f"Get {file.name} again; or, if it is one of your own, name it (--weights FILE), or "
        f"delete {listed}"
    )


def _read(listed: Path) -> dict[str, str]:
    sums = {}
    text = listed.read_text(encoding="utf-8", errors="replace")
    for number, line in enumerate(text.splitlines(), 1):
        match = _LINE.fullmatch(line)
        if match is None:
            raise ValueError(
                f"{listed}, line {number} is not as sha256sum writes it (digest, two spaces, name)"
            )
        sums[match[2]] = match[1].lower()
    return sums
