"""Folders that the datasets of a config read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple


class ReadFolder(NamedTuple):
    """Folder that a dataset reads.

    Attributes:
        path: Path of the folder.
        dataset: Config of the dataset.
    """

    path: str
    dataset: Mapping[str, Any]


def read_folders(config: Any) -> Iterator[ReadFolder]:
    """Find the folders that datasets read, at any depth of a config.

    Args:
        config: Any part of a config, such as a data loader.

    Yields:
        The folders of ``ann_file``, or those of the ``sets`` of a benchmark dataset that are
        not left out; relative ones are below ``data_root``.
    """
    if isinstance(config, Mapping):
        root, files = config.get("data_root") or "", config.get("ann_file") or ()
        files = [files] if isinstance(files, str) else list(files)
        if isinstance(sets := config.get("sets"), Mapping):
            files += [folder for folder in sets.values() if isinstance(folder, str)]
        for file in files:
            yield ReadFolder(str(Path(root, file)), config)
        config = config.values()
    if isinstance(config, Iterable) and not isinstance(config, str):
        for part in config:
            yield from read_folders(part)
