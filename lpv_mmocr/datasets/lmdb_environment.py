"""One read-only LMDB environment per path and process, and the key format of word datasets.

LMDB forbids opening a file twice in one process, and an environment must not be used across a fork.
Datasets therefore store only paths and get the environment from here for every read.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import lmdb

NUM_SAMPLES_KEY = b"num-samples"
DATA_FILE = "data.mdb"

# LMDB maps the file into memory, and touching a page beyond its end kills the process. So missing
# pages must be noticed before anything is read: first those of the header, then the others.
_HEADER = 2 * 4096


class LMDBDataError(RuntimeError):
    """Raised when an LMDB cannot be read or is not a word dataset.

    Attributes:
        text: Readable part of a label that is not UTF-8.
    """

    text: str = ""


class TruncatedLMDBError(LMDBDataError):
    """Raised when a file is not an LMDB, or its end is missing."""


def image_key(number: int) -> bytes:
    """Return the key of image ``number``, counted from 1."""
    return b"image-%09d" % number


def label_key(number: int) -> bytes:
    """Return the key of label ``number``, counted from 1."""
    return b"label-%09d" % number


def real_file(path: str) -> str:
    """Return the path of an LMDB's data file without symbolic links, by which to recognise it.

    Args:
        path: Folder of the LMDB; it, or the file in it, may be a link.
    """
    return os.path.realpath(os.path.join(path, DATA_FILE))


class _EnvironmentPool:
    """Environments of this process by path; those inherited through a fork are replaced."""

    def __init__(self) -> None:
        self._start_empty()

    def _start_empty(self) -> None:
        self._environments: dict[str, lmdb.Environment] = {}
        self._identities: dict[lmdb.Environment, tuple[int, ...]] = {}
        self._lock = threading.Lock()

    def get(self, path: str) -> lmdb.Environment:
        if not os.path.isabs(path):  # After a chdir, a relative path names another LMDB.
            path = os.path.abspath(path)
        environment = self._environments.get(path)
        if environment is None:
            with self._lock:
                real = real_file(path)
                environment = self._environments.get(real)
                if environment is None:
                    folder = os.path.realpath(path)
                    identity = _identity(folder)
                    environment = _open(folder)
                    self._identities[environment] = identity
                # Also kept under the requested name: resolving links for every sample would cost
                # more than the read itself.
                self._environments[real] = self._environments[path] = environment
        return environment

    def close_if_replaced(self, path: str) -> None:
        real = real_file(path)
        with self._lock:
            # First by the requested name: a link may point elsewhere by now.
            gone = self._environments.get(os.path.abspath(path), self._environments.get(real))
            if gone is not None and self._identities[gone] != _identity(path):
                names = [name for name, known in self._environments.items() if known is gone]
                for name in names:
                    del self._environments[name]
                del self._identities[gone]
                gone.close()

    def close(self) -> None:
        with self._lock:
            for environment in self._identities:
                environment.close()
            self._environments.clear()
            self._identities.clear()

    def drop_inherited(self) -> None:
        # py-lmdb counts an inherited environment as open. Closing it here only unmaps the child's
        # copy: without a lock file, parent and child share no state.
        inherited = list(self._identities)
        self._start_empty()
        for environment in inherited:
            environment.close()


_pool = _EnvironmentPool()
if hasattr(os, "register_at_fork"):  # not where there is no fork
    # Immediately, while the child has one thread: later, threads would replace each other's
    # environments.
    os.register_at_fork(after_in_child=_pool.drop_inherited)


def environment(path: str) -> lmdb.Environment:
    """Return the read-only environment of an LMDB folder, opened at first use in this process.

    Args:
        path: Folder that holds ``data.mdb``.

    Raises:
        FileNotFoundError: If there is no ``data.mdb``.
        LMDBDataError: If the file is not an LMDB, was cut short, or cannot be opened.
    """
    return _pool.get(path)


def close_if_replaced(path: str) -> None:
    """Close the environment of an LMDB whose file any process has replaced since it was opened.

    Args:
        path: Folder of the LMDB.
    """
    _pool.close_if_replaced(path)


def close_environments() -> None:
    """Close every environment of this process; datasets reopen theirs at the next read."""
    _pool.close()


def _identity(path: str) -> tuple[int, ...]:
    """Return values that change when a data file is replaced; empty if there is no file."""
    try:
        stat = os.stat(os.path.join(path, DATA_FILE))
    except OSError:
        return ()
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns


def _open(path: str) -> lmdb.Environment:
    data_file = Path(path, DATA_FILE)
    if not data_file.is_file():
        raise FileNotFoundError(f"{path} is not an LMDB: it holds no file {DATA_FILE}")
    size = data_file.stat().st_size
    if size < _HEADER:
        raise TruncatedLMDBError(
            f"{data_file} is cut short: {size} bytes do not even hold its header"
        )
    try:
        opened = lmdb.open(path, readonly=True, lock=False, readahead=False, meminit=False)
    except lmdb.InvalidError as error:
        raise TruncatedLMDBError(f"{data_file} is not an LMDB file") from error
    except lmdb.Error as error:
        hint = ""
        if "already open" in str(error):
            hint = "; other code in this process has it open and must close it first"
        raise LMDBDataError(f"{data_file} cannot be opened: {error}{hint}") from error
    expected = (opened.info()["last_pgno"] + 1) * opened.stat()["psize"]
    if size < expected:
        opened.close()
        raise TruncatedLMDBError(
            f"{data_file} is cut short: {size} of {expected} bytes are there; copy or download "
            "it again"
        )
    return opened


def require_whole(path: str | os.PathLike) -> None:
    """Check that the data file of an LMDB, if there is one, is whole enough to be opened.

    Args:
        path: Folder of the LMDB.

    Raises:
        TruncatedLMDBError: If it is not an LMDB, or was cut short.
        LMDBDataError: If it cannot be opened.
    """
    file = Path(path, DATA_FILE)
    if file.is_file() and file.stat().st_size:
        _open(os.fspath(path)).close()


class KeyReader:
    """Context manager that reads keys of one LMDB; damage raises :class:`LMDBDataError`.

    Every key is looked up separately: LMDB reports a damaged page to a look-up, but a cursor that
    moves onto one ends the process.

    Args:
        path: Folder that holds ``data.mdb``.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._transaction = environment(path).begin()

    def __enter__(self) -> KeyReader:
        """Return the reader."""
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the transaction."""
        self._transaction.abort()

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a key; ``None`` if there is no such key.

        Args:
            key: The key, such as ``label-000000001``.

        Raises:
            LMDBDataError: If the file is damaged at the value or on the path to it. Other keys can
                still be read afterwards.
        """
        try:
            return self._transaction.get(key)
        except lmdb.Error as error:
            # After a failed look-up, LMDB refuses everything else in the same transaction.
            self._transaction.abort()
            self._transaction = environment(self._path).begin()
            raise LMDBDataError(
                f"key {key.decode(errors='replace')} of {Path(self._path, DATA_FILE)} cannot be "
                f"read because the file is damaged there: {error}; copy or download it again"
            ) from error

    def get_readable(self, key: bytes) -> bytes | None:
        """Return the value of a key; ``None`` if it is missing or the file is damaged there.

        Args:
            key: The key.
        """
        try:
            return self.get(key)
        except LMDBDataError:
            return None

    def label(self, number: int) -> str:
        """Return the label of a sample.

        Args:
            number: Number of the sample, counted from 1.

        Raises:
            LMDBDataError: If the label is missing, on a damaged page or not UTF-8.
        """
        label = self._required(label_key(number), "label")
        try:
            return label.decode("utf-8")
        except UnicodeDecodeError as error:
            fault = LMDBDataError("its label is not UTF-8")
            fault.text = label.decode("utf-8", errors="replace")
            raise fault from error

    def image(self, number: int) -> bytes:
        """Return the encoded image of a sample, which may be empty.

        Args:
            number: Number of the sample, counted from 1.

        Raises:
            LMDBDataError: If the image is missing or on a damaged page.
        """
        return self._required(image_key(number), "image")

    def _required(self, key: bytes, what: str) -> bytes:
        value = self.get(key)
        if value is None:
            raise LMDBDataError(f"its {what}, key {key.decode()}, is missing")
        return value


def count_samples(path: str) -> int:
    """Return the number of samples that an LMDB declares in ``num-samples``.

    Args:
        path: Folder that holds ``data.mdb``.

    Raises:
        FileNotFoundError: If there is no ``data.mdb``.
        LMDBDataError: If ``num-samples`` is missing, not a positive number or cannot be read.
    """
    # Every dataset starts here; another process may have recreated the file.
    close_if_replaced(path)
    with KeyReader(path) as reader:
        value = reader.get(NUM_SAMPLES_KEY)
    if value is None:
        raise LMDBDataError(
            f"{path} has no key 'num-samples': it is not a word dataset with the keys "
            "num-samples, image-000000001, label-000000001 and so on"
        )
    if not value.isdigit() or int(value) == 0:
        raise LMDBDataError(f"num-samples of {path} must be a positive number, but is {value!r}")
    return int(value)


@contextlib.contextmanager
def writing(path: str | os.PathLike) -> Iterator[None]:
    """Turn LMDB errors inside the block into an ``OSError`` that names the LMDB.

    Args:
        path: Folder of the LMDB.

    Raises:
        OSError: If LMDB cannot write, such as on a full disk.
        lmdb.MapFullError: If the map is too small; it is not converted.
    """
    try:
        yield
    except lmdb.MapFullError:
        raise
    except lmdb.Error as error:
        raise OSError(f"{path} cannot be written: {error}") from error
