"""Words of a config that are both trained on and validated on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from .config_folders import read_folders
from .lmdb_environment import real_file
from .lmdb_folders import find_lmdbs


class _Dataset(NamedTuple):
    paths: list[str]
    lmdbs: list[str]  # their data files without symbolic links
    hold_out: int
    indices: int | Sequence[int] | None


def find_shared_lmdbs(training: Any, validation: Any) -> list[str]:
    """Find the LMDBs of which validation reads words that are also trained on.

    Only certain overlaps are reported. Where the answer would depend on the number of samples, none
    is: if training sets ``indices``; and, where training sets ``hold_out``, if the two read
    different LMDBs, or validation sets a list of ``indices``, or both ``hold_out`` and ``indices``.

    Args:
        training: Config of the training data loader.
        validation: Config of the validation data loader.

    Returns:
        Paths as validation reads them, each once.
    """
    trained = _datasets_of(training)
    shared = {}
    for dataset in _datasets_of(validation):
        for path, lmdb in zip(dataset.paths, dataset.lmdbs, strict=True):
            if any(_share_words(other, dataset, lmdb) for other in trained):
                shared[path] = None
    return list(shared)


def _share_words(trained: _Dataset, validated: _Dataset, lmdb: str) -> bool:
    """Return whether two datasets certainly share words of an LMDB that the second one reads."""
    if trained.indices is not None:
        return False
    if not trained.hold_out:
        return lmdb in trained.lmdbs
    if trained.lmdbs != validated.lmdbs:
        return False
    if validated.indices is None:
        return True
    if validated.hold_out or not isinstance(validated.indices, int):
        return False
    return not -trained.hold_out <= validated.indices <= 0


def _datasets_of(config: Any) -> list[_Dataset]:
    configs = {id(folder.dataset): folder.dataset for folder in read_folders(config)}
    found = []
    for dataset in configs.values():
        paths = [path for folder in read_folders(dataset) for path in _lmdbs_below(folder.path)]
        lmdbs = [real_file(path) for path in paths]
        found.append(_Dataset(paths, lmdbs, dataset.get("hold_out") or 0, dataset.get("indices")))
    return found


def _lmdbs_below(path: str) -> list[str]:
    """Return the LMDBs at or below a folder; none if it is invalid, which its dataset reports."""
    try:
        return find_lmdbs(path)
    except OSError:
        return []
