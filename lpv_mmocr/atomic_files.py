"""Atomically written files, and names of files."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image

PARTIAL_SUFFIX = ".partial"
"""Suffix of the name of a file or folder that is still being written."""

_MAX_NAME_BYTES = 255
"""Maximum length of a file name on common systems."""

_NOT_FOR_FOLDERS = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}
"""Errors of network drives that cannot sync a folder."""

_IMAGE_OPTIONS = {"JPEG": dict(quality=95), "WEBP": dict(lossless=True)}

_PARTIAL = re.compile(rf"(.+?)(?:\.[0-9a-f]{{8}})?{re.escape(PARTIAL_SUFFIX)}")


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike, *, durable: bool = True) -> Iterator[BinaryIO]:
    """Write a file atomically, replacing an existing one.

    The content goes into a temporary file in the same folder, which is renamed to the final name
    if the block ends without an error, and removed otherwise. Until then, an existing file stays
    unchanged; its permissions are kept. If several processes write the same file, the last one
    wins. A link is followed; a pipe or device is written to directly.

    Args:
        path: The file.
        durable: Whether to force the content to disk first, so that it survives a power failure.

    Yields:
        A binary file to write to.

    Raises:
        OSError: If the file cannot be written; the error names it.
    """
    with naming(path):
        yield from _atomic_write(Path(os.path.realpath(path)), durable)


def _atomic_write(path: Path, durable: bool) -> Iterator[BinaryIO]:
    """Do what :func:`atomic_write` does, for a path without links."""
    existing = path.stat().st_mode if path.exists() else None
    if existing is not None and not (stat.S_ISREG(existing) or stat.S_ISDIR(existing)):
        with path.open("wb") as file:
            yield file
        return
    ending = f".{uuid.uuid4().hex[:8]}{PARTIAL_SUFFIX}"
    partial = path.with_name(truncated(path.name, _MAX_NAME_BYTES - len(ending)) + ending)
    try:
        with partial.open("xb") as file:
            if existing is not None:
                with contextlib.suppress(OSError):  # on file systems without permissions
                    partial.chmod(stat.S_IMODE(existing))
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        # On a full disk, this makes room for other files.
        partial.unlink(missing_ok=True)
        raise
    if durable:
        _sync_folder(path.parent)


def write_file(path: str | os.PathLike, content: bytes | memoryview | str) -> None:
    """Write a file with :func:`atomic_write`, creating its folder if needed.

    Args:
        path: The file.
        content: Its content; a text is encoded as UTF-8.

    Raises:
        OSError: If the file cannot be written; an existing file of that name is kept.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def write_image(path: str | os.PathLike, image: Image.Image, **options: Any) -> None:
    """Write an image atomically, creating its folder if needed; not forced to disk.

    Args:
        path: The file; its suffix determines the format. JPEG has quality 95, WebP is lossless.
        image: The image.
        **options: Options of the format, as in ``PIL.Image.Image.save``.

    Raises:
        ValueError: If no format has this suffix.
        OSError: If the file cannot be written, or its format cannot hold the image (most have a
            maximum size); an existing file of that name is kept.
    """
    path = Path(path)
    format = Image.registered_extensions().get(path.suffix.lower())
    if format is None:
        raise ValueError(f"{path}: no image format has the suffix {path.suffix!r}")
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {**_IMAGE_OPTIONS.get(format, {}), **options}
    with atomic_write(path, durable=False) as file:
        try:
            image.save(file, format=format, **options)
        except Exception as error:  # of several types, depending on the format
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise OSError(f"{path} cannot be written: {error}") from error


@contextlib.contextmanager
def naming(path: str | os.PathLike) -> Iterator[None]:
    """Add a path to the errors of the block that name none, as those of a full disk.

    Args:
        path: What is written within the block.
    """
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = os.fspath(path)
        raise


def truncated(name: str, size: int) -> str:
    """Truncate a file name to a number of bytes, at a character boundary.

    Args:
        name: File name, or its beginning.
        size: Maximum number of bytes.
    """
    while len(os.fsencode(name)) > size:
        name = name[:-1]
    return name


def partial_path(path: Path) -> Path:
    """Return the temporary path of a file or folder that has only one writer.

    Args:
        path: Final path.
    """
    return path.with_name(path.name + PARTIAL_SUFFIX)


def is_partial(name: str) -> bool:
    """Return whether the name is that of a file or folder still being written.

    Args:
        name: Base name, without parent folders.
    """
    return name.endswith(PARTIAL_SUFFIX)


def final_name(name: str) -> str:
    """Return the final name of a file that may be partial.

    Args:
        name: Name of a partial or complete file.
    """
    match = _PARTIAL.fullmatch(name)
    return match[1] if match else name


def _sync_folder(folder: Path) -> None:
    """Force the entries of a folder to disk, if the system can; its files are already complete."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:
        return  # Windows cannot open folders
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NOT_FOR_FOLDERS:
            raise
    finally:
        os.close(descriptor)
