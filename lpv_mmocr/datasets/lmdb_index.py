"""Index of the samples that pass a label filter, computed once and memory-mapped."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from mmengine.logging import print_log

from ..atomic_files import atomic_write
from ..progress import progress_bar
from ..visible_text import listed
from .cache_folder import cache_folder
from .image_header import read_header
from .label_filter import LabelFilter
from .lmdb_environment import (
    DATA_FILE,
    KeyReader,
    count_samples,
    image_key,
    label_key,
)

_FORMAT = 1  # part of a cached index's name; increased when the meaning of an index changes
_PROGRESS_STEP = 10_000


class SampleIndex(Sequence):
    """Sample numbers of one LMDB, in ascending order, loaded from a file on demand.

    Pickles as the path of its file, so that passing a dataset to a worker process is cheap;
    without a file (no folder was writable), the numbers themselves are pickled.

    Args:
        source: Path of the ``.npy`` file, or the numbers as an int32 array.
        start: First position to use.
        stop: End position (exclusive); ``None`` for the end of the numbers.
    """

    def __init__(self, source: str | np.ndarray, start: int = 0, stop: int | None = None) -> None:
        self._source = source
        self._start = start
        self._stop = len(self._all) if stop is None else stop

    @cached_property
    def _all(self) -> np.ndarray:
        if isinstance(self._source, np.ndarray):
            return self._source
        try:
            mapped = np.load(self._source, mmap_mode="r")
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"the index {self._source} was deleted while a dataset uses it, or its data were "
                "changed; start again, which builds it anew"
            ) from error
        # A plain view of the mapped file: indexing NumPy's memmap class costs several times more.
        return np.asarray(mapped)

    def __len__(self) -> int:
        """Return the number of samples."""
        return self._stop - self._start

    def __getitem__(self, position: int) -> int:
        """Return the number of the sample at a position."""
        place = self._start + position
        if not self._start <= place < self._stop:
            raise IndexError(f"position {position} is outside an index of {len(self)} samples")
        return int(self._all[place])

    def __getstate__(self) -> dict:
        """Return everything but the mapped file, which is mapped again on demand."""
        return {name: value for name, value in self.__dict__.items() if name != "_all"}

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        """Return all numbers, copied into memory."""
        numbers = np.array(self._all[self._start : self._stop])
        return numbers if dtype is None else numbers.astype(dtype)

    def between(self, first: int, last: int) -> SampleIndex:
        """Return the part with sample numbers from ``first`` up to, but not including, ``last``."""
        numbers = self._all[self._start : self._stop]
        start, stop = np.searchsorted(numbers, [first, last])
        part = SampleIndex(self._source, self._start + int(start), self._start + int(stop))
        # Shared, so that the file is open once and stays so, even if it is deleted or replaced.
        part._all = self._all
        return part


def load_index(path: str, label_filter: LabelFilter) -> SampleIndex:
    """Return the samples of an LMDB that pass a filter, from the cache if it is up to date.

    The index is stored next to the data, or below :func:`cache_folder` if that folder is read-only.
    Its name depends on the filter and on size, modification time and sample count of the data, so a
    change of any of these leads to a new index. If several processes need it at once, one builds it
    and the others wait, where file locks are available. If neither folder is writable, the index
    stays in memory.

    Args:
        path: Folder that holds ``data.mdb``.
        label_filter: Filter that the samples must pass.

    Raises:
        LMDBDataError: If the LMDB cannot be read.
    """
    path = os.path.abspath(path)  # worker processes may start in another folder
    num_samples = count_samples(path)
    stem, version = _name_parts(path, label_filter, num_samples)
    files = [folder / f"{stem}-{version}.npy" for folder in (Path(path), _cache_folder(path))]
    for file in files:
        if _is_sound(file):
            return SampleIndex(str(file))
    numbers = None
    for file in files:
        try:
            with _exclusive(file):
                if _is_sound(file):  # another process built it while this one waited
                    return SampleIndex(str(file))
                if numbers is None:
                    numbers = build_index(path, label_filter)
                with atomic_write(file) as handle:
                    np.save(handle, numbers)
                _remove_outdated(file, stem)
        except OSError as error:
            failure = error
            continue
        return SampleIndex(str(file))
    print_log(
        f"The index of {path} cannot be cached ({failure}): it is built again at every start. Set "
        "LPV_CACHE (or XDG_CACHE_HOME) to a writable folder to avoid this.",
        logger="current",
        level=logging.WARNING,
    )
    return SampleIndex(build_index(path, label_filter) if numbers is None else numbers)


def build_index(path: str, label_filter: LabelFilter) -> np.ndarray:
    """Read every label once and list the samples that pass.

    Samples that cannot be checked (a missing key, a damaged page, a label that is not UTF-8, an
    image without a readable size) are listed too: they are counted and logged when they are read.

    Args:
        path: Folder that holds ``data.mdb``.
        label_filter: Filter that the samples must pass.

    Returns:
        Sample numbers in ascending order, int32, shape (number of samples that pass,).
    """
    num_samples = count_samples(path)
    numbers = np.empty(num_samples, dtype=np.int32)
    kept = emptied = 0
    left_out = _RejectionCounts(label_filter)
    began = time.monotonic()
    title = f"indexing {Path(path).name}"
    with progress_bar(num_samples, title) as advance, KeyReader(path) as reader:
        for number in range(1, num_samples + 1):
            if number % _PROGRESS_STEP == 0:
                advance(_PROGRESS_STEP)
            label = reader.get_readable(label_key(number))
            if label is not None and not label_filter.accepts_label(label):
                left_out.add_label(label.decode("utf-8"))
                continue
            if label_filter.min_image_side:
                header = read_header(reader.get_readable(image_key(number)))
                if header and not label_filter.accepts_size(header.width, header.height):
                    left_out.small += 1
                    continue
            numbers[kept] = number
            kept += 1
            emptied += label is not None and label_filter.empties(label)
        if left := num_samples % _PROGRESS_STEP:
            advance(left)
    print_log(
        f"Index of {path}: {kept} of {num_samples} samples pass the label filter "
        f"({time.monotonic() - began:.1f} s){left_out}",
        logger="current",
    )
    if emptied:
        print_log(
            f"{emptied} of them lose all their characters because the charset of the label filter "
            "lacks them; such labels teach a model to read nothing where there is a word",
            logger="current",
            level=logging.WARNING,
        )
    return numbers[:kept].copy()


class _RejectionCounts:
    """Counts of the samples that a filter leaves out, by reason, for the log.

    Args:
        label_filter: The filter.
    """

    def __init__(self, label_filter: LabelFilter) -> None:
        self._filter = label_filter
        self._long = self._unknown = self.small = 0
        self._characters: Counter[str] = Counter()

    def add_label(self, label: str) -> None:
        """Count a label that does not pass."""
        unknown = self._filter.unknown(label) if self._filter.reject_unknown else ""
        if unknown and len(label) <= (self._filter.max_length or len(label)):
            self._unknown += 1
            self._characters.update(unknown)
        else:
            self._long += 1

    def __str__(self) -> str:
        """Return the reasons, or nothing if all samples pass."""
        reasons = []
        if self._long:
            reasons.append(f"{self._long} have more than {self._filter.max_length} characters")
        if self._unknown:
            most = [character for character, _ in self._characters.most_common()]
            reasons.append(
                f"{self._unknown} have characters outside the charset, most often {listed(most)}"
            )
        if self.small:
            reasons.append(f"{self.small} are smaller than {self._filter.min_image_side} pixels")
        return f"; of those left out, {', '.join(reasons)}" if reasons else ""


def _name_parts(path: str, label_filter: LabelFilter, num_samples: int) -> tuple[str, str]:
    """Return the parts of an index's file name for the filter and for the state of the data."""
    status = os.stat(os.path.join(path, DATA_FILE))
    data = [_FORMAT, status.st_size, status.st_mtime_ns, num_samples]
    return f"lpv-index-{_digest(label_filter.options)}", _digest(data)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def _cache_folder(path: str) -> Path:
    real = os.path.realpath(path)
    return cache_folder() / f"{os.path.basename(real)}-{_digest(real)}"


def _is_sound(file: Path) -> bool:
    if not file.is_file():
        return False
    try:
        numbers = np.load(file, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return False
    return numbers.ndim == 1 and numbers.dtype == np.int32


@contextlib.contextmanager
def _exclusive(file: Path) -> Iterator[None]:
    """Let one process at a time build ``file``. Raises OSError if its folder is read-only."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.parent.stat().st_mode & 0o222:
        # The superuser could still write here, but the owner did not intend that.
        raise PermissionError(f"{file.parent} is read-only")
    lock = file.with_suffix(".lock")
    with open(lock, "w") as handle:
        # Where locks are not available (Windows, some network drives), every process builds its own
        # index; the file is replaced atomically, so that is only slower.
        with contextlib.suppress(ImportError, OSError):
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                lock.unlink()


def _remove_outdated(file: Path, stem: str) -> None:
    for other in file.parent.glob(f"{stem}-*.npy"):
        if other != file:
            with contextlib.suppress(OSError):
                other.unlink()
