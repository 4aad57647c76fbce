"""Finding the LMDBs in a tree of folders."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence

from mmengine.logging import print_log

from ..atomic_files import is_partial
from .lmdb_environment import DATA_FILE, real_file


def find_lmdbs(path: str) -> list[str]:
    """Return the LMDBs at or below a folder, sorted by name.

    Incomplete LMDBs below it are skipped and logged.

    Args:
        path: An LMDB folder, or a folder that holds a tree of them.

    Raises:
        FileNotFoundError: If the folder does not exist or holds no LMDB.
        NotADirectoryError: If the path is a file.
    """
    if os.path.isfile(path):
        raise NotADirectoryError(
            f"{path} is a file; give the folder of the LMDB, {os.path.dirname(path) or os.curdir}"
            if os.path.basename(path) == DATA_FILE
            else f"{path} is a file; give the folder of an LMDB, which holds {DATA_FILE}"
        )
    if not os.path.isdir(path):
        raise FileNotFoundError(f"LMDB folder {path} does not exist")
    found = list(_walk(path, ()))
    if not found:
        raise FileNotFoundError(
            f"{path} is not an LMDB and holds none: no {DATA_FILE} at any depth"
        )
    return found


def refuse_repeated(paths: Sequence[str]) -> None:
    """Check that no LMDB occurs twice, even under different names.

    Otherwise, samples held out of one would be in the other.

    Args:
        paths: LMDB folders.

    Raises:
        ValueError: If two of them are the same.
    """
    seen: dict[str, str] = {}
    for path in paths:
        real = real_file(path)
        if real in seen:
            raise ValueError(
                f"the LMDB {path} occurs twice, first as {seen[real]}: list each folder once in "
                "ann_file and none inside another, and remove links next to their targets; to give "
                "words more weight, use SourceShareBatchSampler"
            )
        seen[real] = path


def _walk(folder: str, parents: Sequence[str]) -> Iterator[str]:
    if os.path.isfile(os.path.join(folder, DATA_FILE)):
        yield folder
        return
    real = os.path.realpath(folder)
    if real in parents:  # a link to a parent folder
        return
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.is_dir() and is_partial(entry.name):
            print_log(
                f"{entry.path} is skipped: according to its name it is incomplete",
                logger="current",
                level=logging.WARNING,
            )
        elif entry.is_dir():
            yield from _walk(entry.path, (*parents, real))
