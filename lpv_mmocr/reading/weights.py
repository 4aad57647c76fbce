"""Which weights to read with where none are named."""

from __future__ import annotations

import os
from pathlib import Path

from .checksums import verify

VARIABLE = "LPV_WEIGHTS"
"""Environment variable that names the weights."""

SHIPPED = "lpv-tiny.pth"
"""Name of the checkpoint that is read with by default, of those that come with the project."""


def find_weights(weights: str | os.PathLike | None = None) -> str:
    """Choose the weights: those named, else those of ``LPV_WEIGHTS``, else those shipped.

    Args:
        weights: File, an address that MMEngine can load from, or the bare name of a checkpoint that
            comes with the project, such as ``lpv-mini``.

    Returns:
        Path or address of the checkpoint.

    Raises:
        FileNotFoundError: If the file does not exist, or none is named and none is shipped. The
            message says how to come by one.
        IsADirectoryError: If it is a folder.
        ValueError: If the shipped file is not the one that ``SHA256SUMS`` beside it lists.
    """
    if weights is not None:
        return _named(os.fspath(weights), "")
    if named := os.environ.get(VARIABLE):
        return _named(named, f", which {VARIABLE} names")
    if shipped := _shipped(SHIPPED):
        return shipped
    raise FileNotFoundError(
        f"no weights to read with. Give a checkpoint (--weights FILE, or weights=... in Python), "
        f"name one in the environment variable {VARIABLE}, or get the one that comes with the "
        f"project to {shipped_folders()[-1] / SHIPPED}. To make one: tools/quickstart.sh trains a "
        "toy in minutes, lpv-mmocr train a real one (docs/training.md), and lpv-mmocr convert "
        "takes the authors' weights"
    )


def shipped_folders() -> tuple[Path, Path]:
    """Where a shipped checkpoint may lie: inside the installed package, and in a checkout."""
    package = Path(__file__).resolve().parents[1]
    return package / ".mim" / "checkpoints", package.parent / "checkpoints"


def shipped_checkpoints() -> list[Path]:
    """The checkpoints that come with the project, in the order of their names."""
    files = (file for folder in shipped_folders() for file in folder.glob("*.pth"))
    return sorted(files, key=lambda file: file.stem)


def _shipped(name: str) -> str | None:
    """Path of a shipped checkpoint, compared with its checksum, or None if there is no such."""
    for folder in shipped_folders():
        if (folder / name).is_file():
            verify(folder / name)
            return str(folder / name)
    return None


def _named(path: str, origin: str) -> str:
    if "://" in path:
        return path
    expanded = Path(os.path.expanduser(path))
    if expanded.is_file():
        return str(expanded)
    # With a suffix it is a file, which may be somebody's own of the same name as a shipped one.
    is_name = path == Path(path).name and not Path(path).suffix
    if is_name and (shipped := _shipped(f"{path}.pth")):
        return shipped
    if expanded.is_dir():
        raise IsADirectoryError(
            f"the weights are a folder: {path}{origin}; give the checkpoint file (.pth) in it"
        )
    names = list(dict.fromkeys(file.stem for file in shipped_checkpoints()))
    hint = ""
    if names and (is_name or Path(path).stem in names):
        hint = f"; those that come along are named without .pth: {', '.join(names)}"
    raise FileNotFoundError(f"there is no checkpoint {path}{origin}{hint}")
