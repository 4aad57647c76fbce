"""One read-only LMDB environment per path and process, and the key format of word data sets.

LMDB forbids opening a file twice in one process, and an environment must not be used across a
fork. Data sets therefore hold paths only and ask here for the environment whenever they read.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

import lmdb
from mmengine.logging import print_log

from ..whole_files import is_partial

NUM_SAMPLES_KEY = b"num-samples"
DATA_FILE = "data.mdb"


class LMDBDataError(RuntimeError):
    """An LMDB that cannot be read, or that is not a word data set.

    Attributes:
        text: Of a label that is not UTF-8, as much as can be read.
    """

    text: str = ""


def image_key(number: int) -> bytes:
    """The key of picture ``number``, counted from 1."""
    return b"image-%09d" % number


def label_key(number: int) -> bytes:
    """The key of label ``number``, counted from 1."""
    return b"label-%09d" % number


class _EnvironmentPool:
    """Environments of this process by path; those inherited through a fork are replaced."""

    def __init__(self) -> None:
        self._start_empty()

    def _start_empty(self) -> None:
        self._environments: dict[str, lmdb.Environment] = {}
        self._identities: dict[lmdb.Environment, tuple[int, ...]] = {}
        self._lock = threading.Lock()

    def get(self, path: str) -> lmdb.Environment:
        if not os.path.isabs(path):  # A relative path names another LMDB after a change of folder.
            path = os.path.abspath(path)
        environment = self._environments.get(path)
        if environment is None:
            with self._lock:
                real = os.path.realpath(path)
                environment = self._environments.get(real)
                if environment is None:
                    identity = _identity(real)
                    environment = _open(real)
                    self._identities[environment] = identity
                # Kept under the name asked for as well: resolving links for every sample would
                # cost more than the read itself.
                self._environments[real] = self._environments[path] = environment
        return environment

    def forget_replaced(self, path: str) -> None:
        real = os.path.realpath(path)
        with self._lock:
            # First by the name asked for: a link may lead elsewhere now.
            gone = self._environments.get(os.path.abspath(path), self._environments.get(real))
            if gone is not None and self._identities[gone] != _identity(real):
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
    # At once, while the child has one thread: later ones would replace each other's environments.
    os.register_at_fork(after_in_child=_pool.drop_inherited)


def environment(path: str) -> lmdb.Environment:
    """The read-only environment of an LMDB folder, opened at first use in this process.

    Args:
        path: Folder that holds ``data.mdb``.

    Raises:
        FileNotFoundError: If there is no ``data.mdb``.
        LMDBDataError: If the file is not an LMDB, was cut short, or cannot be opened.
    """
    return _pool.get(path)


def forget_replaced(path: str) -> None:
    """Close the environment of an LMDB that has been replaced by another, by whomever.

    Args:
        path: Its folder.
    """
    _pool.forget_replaced(path)


def close_environments() -> None:
    """Close every environment of this process; data sets reopen theirs at the next read."""
    _pool.close()


def _identity(path: str) -> tuple[int, ...]:
    """What differs when a file has been replaced by another; nothing where there is none."""
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
    # LMDB maps the file into memory, and touching a page behind its end kills the process. So a
    # short file must be found before anything is read: first the two header pages, then the rest.
    if size < 2 * 4096:
        raise LMDBDataError(f"{data_file} is cut short: {size} bytes do not even hold its header")
    try:
        opened = lmdb.open(path, readonly=True, lock=False, readahead=False, meminit=False)
    except lmdb.InvalidError as error:
        raise LMDBDataError(f"{data_file} is not an LMDB file") from error
    except lmdb.Error as error:
        hint = ""
        if "already open" in str(error):
            hint = "; other code of this process has it open, close that first"
        raise LMDBDataError(f"{data_file} cannot be opened: {error}{hint}") from error
    expected = (opened.info()["last_pgno"] + 1) * opened.stat()["psize"]
    if size < expected:
        opened.close()
        raise LMDBDataError(
            f"{data_file} is cut short: {size} of {expected} bytes are there; copy or download "
            "it again"
        )
    return opened


class KeyReader:
    """Reads keys of one LMDB inside a ``with`` block; what cannot be read is an error with a name.

    Every key is looked up on its own. LMDB reports a damaged page to a look-up, but a cursor that
    walks onto one ends the process.

    Args:
        path: Folder that holds ``data.mdb``.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._transaction = environment(path).begin()

    def __enter__(self) -> KeyReader:
        """Begin reading."""
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
        """The value of a key; ``None`` where there is no such key.

        Args:
            key: Such as ``label-000000001``.

        Raises:
            LMDBDataError: If the file is damaged where the value, or the way to it, is stored.
                Other keys can be read afterwards.
        """
        try:
            return self._transaction.get(key)
        except lmdb.Error as error:
            # LMDB refuses everything else of a transaction in which one look-up failed.
            self._transaction.abort()
            self._transaction = environment(self._path).begin()
            raise LMDBDataError(
                f"key {key.decode(errors='replace')} of {Path(self._path, DATA_FILE)} cannot be "
                f"read, the file is damaged there: {error}; copy or download it again"
            ) from error

    def label(self, number: int) -> str:
        """The label of a sample.

        Args:
            number: The sample, counted from 1.

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

    def picture(self, number: int) -> bytes:
        """The encoded picture of a sample; it may be empty.

        Args:
            number: The sample, counted from 1.

        Raises:
            LMDBDataError: If the picture is missing or on a damaged page.
        """
        return self._required(image_key(number), "image")

    def _required(self, key: bytes, what: str) -> bytes:
        value = self.get(key)
        if value is None:
            raise LMDBDataError(f"its {what}, key {key.decode()}, is missing")
        return value


def count_samples(path: str) -> int:
    """The number of samples that an LMDB says it holds.

    Args:
        path: Folder that holds ``data.mdb``.

    Raises:
        LMDBDataError: If ``num-samples`` is missing, not a positive number or cannot be read.
    """
    # With this each data set begins; another process may have made the file anew.
    forget_replaced(path)
    with KeyReader(path) as reader:
        value = reader.get(NUM_SAMPLES_KEY)
    if value is None:
        raise LMDBDataError(
            f"{path} has no key 'num-samples': it is not a word data set with the keys "
            "num-samples, image-000000001, label-000000001 and so on"
        )
    if not value.isdigit() or int(value) == 0:
        raise LMDBDataError(f"num-samples of {path} must be a positive number, but is {value!r}")
    return int(value)


@contextlib.contextmanager
def writing(path: str | os.PathLike) -> Iterator[None]:
    """Context for writing into an LMDB, whose errors say what they are about.

    Args:
        path: Its folder.

    Raises:
        OSError: If LMDB cannot write, such as on a full disk.
        lmdb.MapFullError: If its map is too small.
    """
    try:
        yield
    except lmdb.MapFullError:
        raise
    except lmdb.Error as error:
        raise OSError(f"{path} cannot be written: {error}") from error


def find_lmdbs(path: str) -> list[str]:
    """The LMDBs at or below a folder, in the order of their names.

    Unfinished LMDBs below it are skipped, and the log names them.

    Args:
        path: An LMDB folder, or a folder that holds a tree of them.

    Raises:
        FileNotFoundError: If the folder does not exist or holds no LMDB.
        NotADirectoryError: If it is a file.
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
    """Check that no LMDB comes twice, be it under another name.

    What is held out of one would be in the other.

    Args:
        paths: LMDB folders.

    Raises:
        ValueError: If two of them are the same.
    """
    seen: dict[str, str] = {}
    for path in paths:
        real = os.path.realpath(path)
        if real in seen:
            raise ValueError(
                f"the LMDB {path} comes twice, first as {seen[real]}: name each folder of ann_file "
                "once and none inside another, and remove links beside what they lead to; a share "
                "of a batch (SourceShareBatchSampler) gives words more weight"
            )
        seen[real] = path


def _walk(folder: str, parents: Sequence[str]) -> Iterator[str]:
    if os.path.isfile(os.path.join(folder, DATA_FILE)):
        yield folder
        return
    real = os.path.realpath(folder)
    if real in parents:  # a link that leads back up
        return
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.is_dir() and is_partial(entry.name):
            print_log(
                f"{entry.path} is not counted in: by its name it is not finished",
                logger="current",
                level=logging.WARNING,
            )
        elif entry.is_dir():
            yield from _walk(entry.path, (*parents, real))
