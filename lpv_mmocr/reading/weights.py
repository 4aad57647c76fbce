"""Choice of the weights to read with."""

from __future__ import annotations

import os
from pathlib import Path

from .checksums import verify

VARIABLE = "LPV_WEIGHTS"
"""Environment variable that names the weights."""

BUNDLED = "lpv-tiny.pth"
"""Name of the bundled checkpoint that is used by default."""


def find_weights(weights: str | os.PathLike | None = None) -> str:
    """Choose the weights: those named, else those of ``LPV_WEIGHTS``, else those bundled.

    Args:
        weights: File, URL that MMEngine can load from, or bare name of a checkpoint bundled with
            the project, such as ``lpv-mini``.

    Returns:
        Path or URL of the checkpoint.

    Raises:
        FileNotFoundError: If the file does not exist, or none is named and none is bundled. The
            message says how to get one.
        IsADirectoryError: If the path is a folder.
        ValueError: If a bundled file does not match ``SHA256SUMS`` in its folder.
    """
    if weights is not None:
        return _named(os.fspath(weights), "")
    if named := os.environ.get(VARIABLE):
        return _named(named, f", which {VARIABLE} names")
    if bundled := _bundled(BUNDLED):
        return bundled
    raise FileNotFoundError(
        f"no weights to read with. Give a checkpoint (--weights FILE, or weights=... in Python), "
        f"name one in the environment variable {VARIABLE}, or put the one bundled with the project "
        f"at {bundled_folders()[-1] / BUNDLED}. To make one: tools/quickstart.sh trains a toy in "
        "minutes, lpv-mmocr train trains a real one (docs/training.md), and lpv-mmocr convert "
        "converts the authors' weights"
    )


def bundled_folders() -> tuple[Path, Path]:
    """Return the folders of bundled checkpoints: in the installed package, and in a checkout."""
    package = Path(__file__).resolve().parents[1]
    return package / ".mim" / "checkpoints", package.parent / "checkpoints"


def bundled_checkpoints() -> list[Path]:
    """Return the bundled checkpoints, sorted by name."""
    files = (file for folder in bundled_folders() for file in folder.glob("*.pth"))
    return sorted(files, key=lambda file: file.stem)


def _bundled(name: str) -> str | None:
    """Return the path of a bundled checkpoint after verifying its checksum, or None if missing."""
    for folder in bundled_folders():
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
    # With a suffix it is a file, perhaps the user's own with the same name as a bundled one.
    is_name = path == Path(path).name and not Path(path).suffix
    if is_name and (bundled := _bundled(f"{path}.pth")):
        return bundled
    if expanded.is_dir():
        raise IsADirectoryError(
            f"the weights are a folder: {path}{origin}; give the checkpoint file (.pth) in it"
        )
    names = list(dict.fromkeys(file.stem for file in bundled_checkpoints()))
    hint = ""
    if names and (is_name or Path(path).stem in names):
        hint = f"; bundled checkpoints are named without .pth: {', '.join(names)}"
    raise FileNotFoundError(f"there is no checkpoint {path}{origin}{hint}")
