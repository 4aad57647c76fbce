"""Samples of an LMDB that its ``num-samples`` leaves out."""

from __future__ import annotations

import logging

from mmengine.logging import print_log

from .lmdb_environment import KeyReader, image_key, label_key


def uncounted_samples(path: str, count: int) -> list[str]:
    """Return keys that exist although ``num-samples`` leaves their samples out.

    Args:
        path: Folder of the LMDB.
        count: Its number of samples.

    Returns:
        Keys directly before the first sample and after the last; samples are then counted from 0,
        or the number is too small.
    """
    keys = [make(number) for number in (0, count + 1) for make in (image_key, label_key)]
    with KeyReader(path) as reader:
        return [key.decode() for key in keys if reader.get_readable(key) is not None]


def warn_of_uncounted(path: str, count: int) -> None:
    """Log a warning if an LMDB has samples that are not read.

    Args:
        path: Folder of the LMDB.
        count: Its number of samples.
    """
    if keys := uncounted_samples(path, count):
        print_log(
            f"{path} holds {' and '.join(keys)}, but its num-samples is {count}, so samples "
            f"1 to {count} are read and others are not: num-samples is too small, or samples are "
            "counted from 0 instead of 1",
            logger="current",
            level=logging.WARNING,
        )
