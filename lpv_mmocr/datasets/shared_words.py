"""Words of a config that are both trained on and validated on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from .config_folders import read_folders
from .lmdb_environment import find_lmdbs


def find_shared_lmdbs(training: Any, validation: Any) -> list[str]:
    """Find the LMDBs of which validation reads words that are also trained on.

    A dataset with a list of ``indices`` is not judged, nor is one with ``hold_out`` if the other
    reads only some of its folders: for these, the number of samples would have to be known.

    Args:
        training: Config of the training data loader.
        validation: Config of the validation data loader.

    Returns:
        Paths as validation reads them, each once.
    """
    trained = [folder.dataset for folder in read_folders(training)]
    shared = {}
    for folder in read_folders(validation):
        for path in _lmdbs(folder.path):
            if any(_share_words(dataset, folder.dataset, path) for dataset in trained):
                shared[path] = None
    return list(shared)


def _share_words(trained: Mapping[str, Any], validated: Mapping[str, Any], path: str) -> bool:
    """Return whether two datasets certainly share words of an LMDB that the second one reads."""
    if trained.get("indices") is not None:
        return False
    lmdbs, held_out = _all_lmdbs(trained), trained.get("hold_out") or 0
    if not held_out:
        return os.path.realpath(path) in lmdbs
    if lmdbs != _all_lmdbs(validated) or validated.get("hold_out"):
        return False
    indices = validated.get("indices")
    return indices is None or (isinstance(indices, int) and not -held_out <= indices <= 0)


def _all_lmdbs(dataset: Mapping[str, Any]) -> list[str]:
    return [
        os.path.realpath(path) for folder in read_folders(dataset) for path in _lmdbs(folder.path)
    ]


def _lmdbs(path: str) -> list[str]:
    """Return the LMDBs at or below a folder; none if it is invalid, which its dataset reports."""
    try:
        return find_lmdbs(path)
    except OSError:
        return []
