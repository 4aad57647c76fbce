"""From a folder of pictures and a label file to an LMDB, and back."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from ..progress import progress_bar
from .label_files import (
    LabelEntry,
    LabelFileError,
    LabelFileWriter,
    check_text,
    format_of,
    read_labels,
)
from .lmdb_environment import (
    KeyReader,
    LMDBDataError,
    count_samples,
    find_lmdbs,
    image_key,
)
from .lmdb_writer import LMDBWriter
from .new_folder import new_folder, refuse_existing
from .picture_header import asks_to_be_turned, extension_of
from .transforms.loading import decode_image

LEFT_OUT_FILE = "left-out.tsv"
"""Beside the data: the samples that were left out, and why."""

IMAGE_FOLDER = "images"
IMAGES_PER_FOLDER = 10_000

_SKIP_ADVICE = "mend it, or give --skip-bad to leave such samples out (they are listed)"


class ConversionError(ValueError):
    """A sample that cannot be used, or data that leave nothing to convert."""


@dataclass
class Conversion:
    """What a conversion did.

    Attributes:
        written: Samples in the result.
        left_out: Samples that could not be used; they are listed in ``LEFT_OUT_FILE``.
        empty_texts: Samples of the result whose text is empty.
        turned: Pictures of the result that ask to be turned (EXIF orientation), which data sets
            do not do.
        first_turned: Name of the first of them.
    """

    written: int = 0
    left_out: int = 0
    empty_texts: int = 0
    turned: int = 0
    first_turned: str = ""


class _LeftOut:
    """Lists samples that cannot be used, or refuses to go on at the first of them."""

    def __init__(self, folder: Path, skip: bool, result: Conversion) -> None:
        self._file = folder / LEFT_OUT_FILE
        self._skip = skip
        self._result = result

    def add(self, name: str, reason: str) -> None:
        if not self._skip:
            raise ConversionError(f"{name}: {reason}; {_SKIP_ADVICE}")
        with open(self._file, "a", encoding="utf-8") as lines:
            lines.write(f"{name}\t{' '.join(reason.split())}\n")
        self._result.left_out += 1

    def refuse_nothing(self, source: str | os.PathLike) -> None:
        if self._result.written == 0:
            example = self._file.read_text(encoding="utf-8").split("\n")[0].replace("\t", ": ")
            raise ConversionError(
                f"none of the {self._result.left_out} samples of {source} can be used; the first: "
                f"{example}"
            )


def labels_to_lmdb(
    label_file: str | os.PathLike,
    out: str | os.PathLike,
    *,
    images: str | os.PathLike | None = None,
    format: str | None = None,
    check: bool = True,
    skip_bad: bool = False,
    show_progress: bool = False,
) -> Conversion:
    """Store the pictures that a label file lists, byte for byte, with their texts in an LMDB.

    The whole label file is checked before the first picture is read.

    Args:
        label_file: The label file.
        out: Folder of the LMDB, which must not exist. It is complete once it does.
        images: Folder that paths are relative to, and must stay in; by default that of the label
            file.
        format: Format of the label file; by default its ending says it.
        check: Decode every picture, to be sure that it can be.
        skip_bad: Leave out samples whose picture is missing, empty or cannot be decoded, or stands
            in the file before, and list them; otherwise the first one is an error.
        show_progress: Show a bar.

    Returns:
        What was written and left out.

    Raises:
        LabelFileError: If the label file is at fault.
        ConversionError: If a sample is at fault and ``skip_bad`` is not set, or all are.
        OSError: If a folder or file cannot be read or written, or ``out`` exists.
    """
    refuse_existing(out)
    folder = Path(label_file).parent if images is None else Path(images)
    if not folder.is_dir():
        raise NotADirectoryError(f"there is no folder of pictures {folder}")
    total, repeated = _survey(label_file, format, folder)
    result = Conversion()
    with (
        progress_bar(total, "converting", enabled=show_progress) as advance,
        LMDBWriter(out) as writer,
    ):
        left_out = _LeftOut(writer.folder, skip_bad, result)
        for number, entry in enumerate(read_labels(label_file, format)):
            try:
                if number in repeated:
                    raise ValueError(f"the picture is listed before, at {repeated[number]}")
                picture = _read_picture(folder / _inside(entry, folder))
                _check(picture, check)
            except ValueError as error:
                left_out.add(f"{entry.where}: {entry.path}", str(error))
            else:
                writer.write(picture, entry.text)
                result.written += 1
                result.empty_texts += not entry.text
                if asks_to_be_turned(picture):
                    result.turned += 1
                    result.first_turned = result.first_turned or f"{entry.where}: {entry.path}"
            advance(1)
        left_out.refuse_nothing(label_file)
    return result


def _survey(
    label_file: str | os.PathLike, format: str | None, folder: Path
) -> tuple[int, dict[int, str]]:
    """Count the entries and find those whose picture stands in the file before.

    Returns:
        Number of entries, and for the positions of repeated ones where the picture stood first.
    """
    # Hashes instead of paths: millions of them fit. Positions whose hash came before are looked
    # at again with the paths themselves.
    seen: set[int] = set()
    suspicious: set[str] = set()
    total = 0
    for entry in read_labels(label_file, format):
        total += 1
        path = _inside(entry, folder)
        if hash(path) in seen:
            suspicious.add(path)
        seen.add(hash(path))
    if total == 0:
        raise LabelFileError(f"{label_file} lists no picture")
    if not suspicious:
        return total, {}
    first: dict[str, str] = {}
    repeated = {}
    for number, entry in enumerate(read_labels(label_file, format)):
        path = _inside(entry, folder)
        if path in first:
            repeated[number] = first[path]
        elif path in suspicious:
            first[path] = entry.where
    return total, repeated


def _inside(entry: LabelEntry, folder: Path) -> str:
    """A picture's path relative to the folder, which it must not leave."""
    root = os.path.abspath(folder)
    path = os.path.relpath(os.path.normpath(os.path.join(root, entry.path)), root)
    if path == os.pardir or path.startswith(os.pardir + os.sep):
        raise LabelFileError(
            f"{entry.where}: {entry.path} leads out of the folder of pictures, {folder}; name a "
            "folder that holds all of them with --images"
        )
    return path


def _read_picture(path: Path) -> bytes:
    """A picture's bytes; ValueError says why it cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ValueError(
            f"there is no picture {path} (paths are relative to the folder of the label file, or "
            "to --images)"
        ) from None
    except OSError as error:
        raise ValueError(f"its picture cannot be read: {error}") from None


def _check(picture: bytes, decode: bool) -> None:
    if not picture:
        raise ValueError("its image is empty")
    if decode:
        decode_image(picture)


def lmdb_to_labels(
    path: str | os.PathLike,
    out: str | os.PathLike,
    *,
    labels: str = "labels.tsv",
    format: str | None = None,
    check: bool = True,
    skip_bad: bool = False,
    show_progress: bool = False,
) -> Conversion:
    """Write the samples of an LMDB as picture files, byte for byte, and a label file.

    Pictures are numbered as in the LMDB and named after their content, such as
    ``images/000000001.jpg``; more than ``IMAGES_PER_FOLDER`` are divided among folders.

    Args:
        path: Folder of the LMDB.
        out: Folder to make, which must not exist. It is complete once it does.
        labels: Name of the label file in that folder.
        format: Its format; by default its ending says it.
        check: Decode every picture, to be sure that it can be.
        skip_bad: Leave out samples that cannot be read, and list them; otherwise the first one is
            an error.
        show_progress: Show a bar.

    Returns:
        What was written and left out.

    Raises:
        LMDBDataError: If the LMDB is damaged, or there are several.
        LabelFileError: If the format cannot hold a text; this is found before anything is written.
        ConversionError: If a sample is at fault and ``skip_bad`` is not set, or all are.
        OSError: If a folder or file cannot be read or written, or ``out`` exists.
    """
    refuse_existing(out)
    format = format_of(labels, format)
    if os.path.basename(labels) != labels or labels in (LEFT_OUT_FILE, IMAGE_FOLDER):
        raise LabelFileError(f"the label file needs a plain name of its own, not {labels!r}")
    path = _one_lmdb(path)
    total = count_samples(path)
    _check_texts(path, total, format)
    result = Conversion()
    with (
        progress_bar(total, "converting", enabled=show_progress) as advance,
        new_folder(out) as folder,
        LabelFileWriter(folder / labels, format) as label_file,
        KeyReader(path) as reader,
    ):
        left_out = _LeftOut(folder, skip_bad, result)
        for number in range(1, total + 1):
            try:
                text, picture = reader.label(number), reader.picture(number)
                _check(picture, check)
            except (ValueError, LMDBDataError) as error:
                left_out.add(_sample_name(path, number), str(error))
            else:
                file = _picture_name(number, total) + extension_of(picture)
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                (folder / file).write_bytes(picture)
                label_file.write(file, text)
                result.written += 1
                result.empty_texts += not text
            advance(1)
        left_out.refuse_nothing(path)
    return result


def _check_texts(path: str, total: int, format: str) -> None:
    """Look for a text that the format cannot hold before hours have gone into writing."""
    with KeyReader(path) as reader:
        for number in range(1, total + 1):
            # What cannot be read is judged when its sample is written.
            with contextlib.suppress(LMDBDataError):
                check_text(reader.label(number), format, _sample_name(path, number))


def _sample_name(path: str, number: int) -> str:
    return f"{path}: {image_key(number).decode()}"


def _one_lmdb(path: str | os.PathLike) -> str:
    found = find_lmdbs(str(path))
    if found == [str(path)]:
        return found[0]
    raise LMDBDataError(
        f"{path} is not an LMDB but holds {len(found)}: {', '.join(found[:5])}"
        f"{' and so on' if len(found) > 5 else ''}; convert them one by one"
    )


def _picture_name(number: int, total: int) -> str:
    if total <= IMAGES_PER_FOLDER:
        return f"{IMAGE_FOLDER}/{number:09d}"
    return f"{IMAGE_FOLDER}/{(number - 1) // IMAGES_PER_FOLDER:04d}/{number:09d}"
