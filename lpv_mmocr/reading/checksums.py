"""Verification of bundled files against a list of checksums in the format of ``sha256sum``."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from ..atomic_files import write_file

SUMS_NAME = "SHA256SUMS"
"""Name of the checksum list, in the folder of the files."""

_LINE = re.compile(r"([0-9a-fA-F]{64}) [ *](.+)")


def sha256(file: Path) -> str:
    """Return the SHA-256 of a file's content in hexadecimal."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def verify(file: Path) -> None:
    """Check a file against the checksum list in its folder, if there is one.

    Raises:
        ValueError: If the checksum differs, or the list has no line for the file or is malformed.
    """
    sums_file = file.parent / SUMS_NAME
    if not sums_file.is_file():
        return
    expected = read_sums(file.parent).get(file.name)
    if expected is None:
        raise ValueError(f"{sums_file} has no line for {file.name}. {_advice(file, sums_file)}")
    if sha256(file) != expected:
        raise ValueError(
            f"{file} is not the file that was published: its SHA-256 is not the one in "
            f"{sums_file}. {_advice(file, sums_file)}"
        )


def record(file: Path) -> Path:
    """Write the checksum of a file to the list in its folder, replacing an earlier one.

    Returns:
        Path of the list.

    Raises:
        ValueError: If an existing list is malformed.
    """
    sums_file = file.parent / SUMS_NAME
    sums = {**read_sums(file.parent), file.name: sha256(file)}
    lines = (f"{digest}  {name}\n" for name, digest in sorted(sums.items()))
    write_file(sums_file, "".join(lines))
    return sums_file


def read_sums(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file in a folder's checksum list; none if there is no list.

    Raises:
        ValueError: If the list is malformed.
    """
    sums_file, sums = folder / SUMS_NAME, {}
    if sums_file.is_dir():
        raise ValueError(f"{sums_file} is a folder, not a list of checksums")
    if not sums_file.is_file():
        return sums
    text = sums_file.read_text(encoding="utf-8", errors="replace")
    for number, line in enumerate(text.splitlines(), 1):
        match = _LINE.fullmatch(line)
        if match is None:
            raise ValueError(
                f"{sums_file}, line {number} is not as sha256sum writes it (digest, two spaces, "
                "name)"
            )
        sums[match[2]] = match[1].lower()
    return sums


def _advice(file: Path, sums_file: Path) -> str:
    return (
        f"Get {file.name} again; if it is your own file, name its path (--weights FILE) or "
        f"delete {sums_file}"
    )
