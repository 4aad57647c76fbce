"""Writing word data sets."""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path
from types import TracebackType

import lmdb

from .lmdb_environment import NUM_SAMPLES_KEY, image_key, label_key

_FIRST_MAP_SIZE = 64 * 2**20


class LMDBWriter:
    """Writes an LMDB in the key format of :class:`LPVLMDBDataset`, all of it or nothing.

    Samples go into a hidden folder beside the target, which takes the target's name when the
    ``with`` block ends without an error. So an interrupted run leaves no half data set under the
    final name.

    Args:
        path: Folder to make. Folders above it are made as needed.
        overwrite: Replace what is there, at the end, instead of refusing to begin.
        batch_size: Samples in one transaction.

    Raises:
        FileExistsError: If ``path`` exists and ``overwrite`` is not set.

    Example:
        >>> with LMDBWriter("words") as writer:
        ...     writer.write(open("word.jpg", "rb").read(), "word")
    """

    def __init__(
        self, path: str | os.PathLike, *, overwrite: bool = False, batch_size: int = 1000
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}")
        self.path = Path(path).absolute()
        self._overwrite = overwrite
        self._batch_size = batch_size
        self._batch: list[tuple[bytes, bytes]] = []
        self._environment: lmdb.Environment | None = None
        self._temporary = self._sibling("writing")
        self.num_samples = 0
        self._refuse_existing()

    def _refuse_existing(self) -> None:
        if self.path.exists() and not self._overwrite:
            raise FileExistsError(f"{self.path} exists; choose another name or pass overwrite=True")

    def _sibling(self, purpose: str) -> Path:
        return self.path.with_name(f".{self.path.name}.{purpose}-{uuid.uuid4().hex[:8]}")

    def __enter__(self) -> LMDBWriter:
        """Begin the hidden folder."""
        self._temporary.mkdir(parents=True)
        # Nothing is flushed until the end: a writer that dies leaves only the hidden folder.
        self._environment = lmdb.open(
            str(self._temporary), map_size=_FIRST_MAP_SIZE, lock=False, sync=False, metasync=False
        )
        return self

    def write(self, image: bytes, label: str) -> int:
        """Add a sample.

        Args:
            image: The encoded picture, such as the bytes of a JPEG file.
            label: Its text.

        Returns:
            The sample's number, counted from 1.

        Raises:
            ValueError: If the picture is empty.
            RuntimeError: If the writer is used outside its ``with`` block.
        """
        if self._environment is None:
            raise RuntimeError("LMDBWriter writes inside its 'with' block only")
        number = self.num_samples + 1
        if not image:
            raise ValueError(f"image {number} of {self.path} (label {label!r}) is empty")
        self._batch.append((image_key(number), image))
        self._batch.append((label_key(number), label.encode("utf-8")))
        self.num_samples = number
        if number % self._batch_size == 0:
            self._flush()
        return number

    def _flush(self) -> None:
        while True:
            try:
                with self._environment.begin(write=True) as transaction:
                    for key, value in self._batch:
                        transaction.put(key, value)
            except lmdb.MapFullError:  # the transaction is undone: enlarge and repeat it
                self._environment.set_mapsize(2 * self._environment.info()["map_size"])
            else:
                self._batch.clear()
                return

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Finish the data set, or remove what was written if there was an error."""
        try:
            if error_type is None:
                self._batch.append((NUM_SAMPLES_KEY, b"%d" % self.num_samples))
                self._flush()
                self._environment.sync(True)
            self._environment.close()
            if error_type is None:
                self._publish()
        finally:
            self._environment = None
            shutil.rmtree(self._temporary, ignore_errors=True)

    def _publish(self) -> None:
        """Give the finished folder its final name."""
        self._refuse_existing()
        if self.path.exists():
            replaced = self._sibling("replaced")
            self.path.rename(replaced)
            self._temporary.rename(self.path)
            shutil.rmtree(replaced)
        else:
            self._temporary.rename(self.path)
