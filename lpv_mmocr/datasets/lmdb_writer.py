"""Writer for word datasets."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import lmdb

from .atomic_folder import atomic_folder, require_absent
from .lmdb_environment import NUM_SAMPLES_KEY, close_if_replaced, image_key, label_key, writing

_FIRST_MAP_SIZE = 64 * 2**20
_SAMPLES_IN_A_TRANSACTION = 1000


class LMDBWriter:
    """Atomic writer for an LMDB in the key format of :class:`LPVLMDBDataset`.

    Samples go into ``PATH.partial``, which is renamed to ``PATH`` when the ``with`` block ends
    without an error, so an interrupted run leaves no incomplete dataset under the final name.

    Args:
        path: Folder to create. Parent folders are created as needed.

    Raises:
        FileExistsError: If ``path`` exists, or if ``PATH.partial`` exists when the block begins.

    Example:
        >>> with LMDBWriter("words") as writer:
        ...     writer.write(open("word.jpg", "rb").read(), "word")
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = Path(path).absolute()
        require_absent(self.path)
        self._batch: list[tuple[bytes, bytes]] = []
        self._environment: lmdb.Environment | None = None
        self._opened = ExitStack()
        self.num_samples = 0
        self.folder: Path | None = None
        """Folder of the data while they are written; other files in it are kept with them."""

    def __enter__(self) -> LMDBWriter:
        """Create the partial folder and open the LMDB in it."""
        self._batch, self.num_samples = [], 0  # not those of an earlier block that has failed
        with ExitStack() as opened:
            self.folder = opened.enter_context(atomic_folder(self.path))
            # Nothing is flushed until the end: a writer that dies leaves only the partial folder.
            with writing(self.path):
                self._environment = lmdb.open(
                    str(self.folder),
                    map_size=_FIRST_MAP_SIZE,
                    lock=False,
                    sync=False,
                    metasync=False,
                )
            # At the end, or after an error, from the last to the first.
            opened.callback(self._close)
            opened.push(self._finish)
            self._opened = opened.pop_all()
        return self

    def write(self, image: bytes, label: str) -> int:
        """Add a sample.

        Args:
            image: Encoded image, such as the bytes of a JPEG file.
            label: Text of the image.

        Returns:
            Number of the sample, counted from 1.

        Raises:
            ValueError: If the image is empty, or the label has half of a surrogate pair.
            OSError: If the sample cannot be written, e.g. on a full disk.
            RuntimeError: If the writer is used outside its ``with`` block.
        """
        if self._environment is None:
            raise RuntimeError("LMDBWriter can write only inside its 'with' block")
        number = self.num_samples + 1
        if not image:
            raise ValueError(f"image {number} of {self.path} (label {label!r}) is empty")
        encoded = label.encode("utf-8")  # may fail, so before anything is kept
        self._batch += [(image_key(number), image), (label_key(number), encoded)]
        self.num_samples = number
        if number % _SAMPLES_IN_A_TRANSACTION == 0:
            self._flush()
        return number

    def _flush(self) -> None:
        put_all(self._environment, self.path, self._batch)
        self._batch.clear()

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Finish the dataset, or remove what was written if there was an error.

        Raises:
            ValueError: If nothing was written.
            OSError: If the dataset cannot be written, e.g. on a full disk.
        """
        self._opened.__exit__(error_type, error, traceback)
        close_if_replaced(str(self.path))  # closes an environment of an earlier LMDB of this name

    def _finish(self, error_type: type[BaseException] | None, *_: object) -> None:
        if error_type is not None:
            return
        if not self.num_samples:
            raise ValueError(f"{self.path} was not made: nothing was written into it")
        self._batch.append((NUM_SAMPLES_KEY, b"%d" % self.num_samples))
        self._flush()
        with writing(self.path):
            self._environment.sync(True)

    def _close(self) -> None:
        self._environment.close()
        self._environment = None


def put_all(
    environment: lmdb.Environment,
    path: str | os.PathLike,
    entries: Sequence[tuple[bytes, bytes]],
) -> None:
    """Write entries in one transaction, and enlarge the map for them if it is full.

    Args:
        environment: Environment to write to.
        path: The LMDB, for error messages.
        entries: Keys and values.

    Raises:
        OSError: If they cannot be written, e.g. on a full disk.
    """
    while True:
        try:
            with writing(path), environment.begin(write=True) as transaction:
                for key, value in entries:
                    transaction.put(key, value)
            return
        except lmdb.MapFullError:  # the transaction is rolled back
            environment.set_mapsize(2 * environment.info()["map_size"])
