"""Conversion between LMDBs and folders of images with a label file."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

import lpv_onnx

from ..progress import progress_bar
from .atomic_folder import atomic_folder, require_absent
from .image_header import extension_of, needs_exif_rotation
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
    image_key,
)
from .lmdb_folders import find_lmdbs
from .lmdb_writer import LMDBWriter
from .transforms.loading import decode_image
from .uncounted_samples import warn_of_uncounted

LEFT_OUT_FILE = "left-out.tsv"
"""File next to the data that lists the samples left out, and why."""

IMAGE_FOLDER = "images"
IMAGES_PER_FOLDER = 10_000

_SKIP_ADVICE = "fix it, or give --skip-bad to leave such samples out (they are listed)"


class ConversionError(ValueError):
    """Raised when a sample cannot be used, or nothing is left to convert."""


@dataclass
class Conversion:
    """Result of a conversion.

    Attributes:
        written: Number of samples written.
        left_out: Number of samples that could not be used; ``LEFT_OUT_FILE`` lists them.
        empty_texts: Number of written samples whose text is empty.
        edge_blanks: Number of samples in a new LMDB whose text begins or ends with white space.
        first_edge_blank: Name of the first of them.
        turned: Number of images in a new LMDB whose EXIF orientation asks for a turn or flip,
            which datasets ignore.
        first_turned: Name of the first of these images.
    """

    written: int = 0
    left_out: int = 0
    empty_texts: int = 0
    edge_blanks: int = 0
    first_edge_blank: str = ""
    turned: int = 0
    first_turned: str = ""


class _SkippedSamples:
    """List of samples that cannot be used; raises at the first one unless they may be skipped."""

    def __init__(self, folder: Path, skip: bool, result: Conversion) -> None:
        self._file = folder / LEFT_OUT_FILE
        self._skip = skip
        self._result = result

    def add(self, name: str, reason: str) -> None:
        if not self._skip:
            raise ConversionError(f"{name}: {reason}; {_SKIP_ADVICE}")
        with open(self._file, "a", encoding="utf-8") as lines:
            lines.write(f"{lpv_onnx.printable(name)}\t{' '.join(reason.split())}\n")
        self._result.left_out += 1

    def require_written(self, source: str | os.PathLike) -> None:
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
    """Store the images that a label file lists, byte for byte, with their texts in an LMDB.

    The complete label file is checked before the first image is read.

    Args:
        label_file: Path of the label file.
        out: Folder of the LMDB, which must not exist. It appears only when it is complete.
        images: Folder that image paths are relative to and must be inside; by default, the folder
            of the label file.
        format: Format of the label file; by default determined by its extension.
        check: Whether to decode every image to make sure that it can be decoded.
        skip_bad: Whether to leave out samples whose image is missing, empty, undecodable (found
            with ``check`` only) or repeated, and to list them in ``LEFT_OUT_FILE``; otherwise the
            first one raises an error.
        show_progress: Whether to show a progress bar.

    Returns:
        Counts of what was written and left out.

    Raises:
        LabelFileError: If the label file is faulty.
        ConversionError: If a sample is faulty and ``skip_bad`` is not set, or all samples are.
        OSError: If a folder or file cannot be read or written, or ``out`` exists.
    """
    require_absent(out)
    folder = Path(label_file).parent if images is None else Path(images)
    if not folder.is_dir():
        raise NotADirectoryError(f"the image folder {folder} does not exist or is not a folder")
    total, repeated = _survey(label_file, format, folder)
    result = Conversion()
    with (
        progress_bar(total, "converting", enabled=show_progress) as advance,
        LMDBWriter(out) as writer,
    ):
        left_out = _SkippedSamples(writer.folder, skip_bad, result)
        for number, entry in enumerate(read_labels(label_file, format)):
            name = f"{entry.where}: {entry.path}"
            try:
                if number in repeated:
                    raise ValueError(f"the image is already listed, at {repeated[number]}")
                image = _read_image(folder / _inside(entry, folder))
                _check(image, check)
            except ValueError as error:
                left_out.add(name, str(error))
            else:
                writer.write(image, entry.text)
                result.written += 1
                result.empty_texts += not entry.text
                if entry.text != entry.text.strip():
                    result.edge_blanks += 1
                    result.first_edge_blank = result.first_edge_blank or name
                if needs_exif_rotation(image):
                    result.turned += 1
                    result.first_turned = result.first_turned or name
            advance(1)
        left_out.require_written(label_file)
    return result


def _survey(
    label_file: str | os.PathLike, format: str | None, folder: Path
) -> tuple[int, dict[int, str]]:
    """Count the entries and find those whose image is already listed.

    Returns:
        Number of entries, and a dict from the positions of repeated ones to where the image is
        first listed.
    """
    # Hashes instead of paths, since millions of them fit into memory. Entries whose hash occurred
    # before are checked again by their paths.
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
        raise LabelFileError(f"{label_file} lists no image")
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
    """Return an image's path relative to the folder, which it must not leave."""
    root = os.path.abspath(folder)
    path = os.path.relpath(os.path.normpath(os.path.join(root, entry.path)), root)
    if path == os.pardir or path.startswith(os.pardir + os.sep):
        raise LabelFileError(
            f"{entry.where}: {entry.path} is outside the image folder {folder}; give a folder that "
            "holds all images with --images"
        )
    return path


def _read_image(path: Path) -> bytes:
    """Return the bytes of an image file; ValueError says why it cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ValueError(
            f"there is no image {path} (paths are relative to the folder of the label file, or "
            "to --images)"
        ) from None
    except OSError as error:
        raise ValueError(f"its image cannot be read: {error}") from None


def _check(image: bytes, decode: bool) -> None:
    if not image:
        raise ValueError("its image is empty")
    if decode:
        decode_image(image)


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
    """Write the samples of an LMDB as image files, byte for byte, and a label file.

    Images are numbered as in the LMDB, with the extension of their format, such as
    ``images/000000001.jpg``; more than ``IMAGES_PER_FOLDER`` are divided among folders. A warning
    is logged if ``num-samples`` leaves samples out.

    Args:
        path: Folder of the LMDB.
        out: Folder to create, which must not exist. It appears only when it is complete.
        labels: Name of the label file in that folder.
        format: Format of the label file; by default determined by its extension.
        check: Whether to decode every image to make sure that it can be decoded.
        skip_bad: Whether to leave out samples that cannot be read, and to list them in
            ``LEFT_OUT_FILE``; otherwise the first one raises an error.
        show_progress: Whether to show a progress bar.

    Returns:
        Counts of what was written and left out.

    Raises:
        LMDBDataError: If the LMDB is damaged, or ``path`` holds several.
        LabelFileError: If ``labels`` or ``format`` is not usable, or the format cannot hold a
            text; this is checked before anything is written.
        ConversionError: If a sample is faulty and ``skip_bad`` is not set, or all samples are.
        OSError: If a folder or file cannot be read or written, or ``out`` exists.
    """
    require_absent(out)
    format = format_of(labels, format)
    if os.path.basename(labels) != labels or labels in (LEFT_OUT_FILE, IMAGE_FOLDER):
        raise LabelFileError(f"the label file needs a plain, unreserved name, not {labels!r}")
    path = _one_lmdb(path)
    total = count_samples(path)
    warn_of_uncounted(path, total)
    _check_texts(path, total, format)
    result = Conversion()
    with (
        progress_bar(total, "converting", enabled=show_progress) as advance,
        atomic_folder(out) as folder,
        LabelFileWriter(folder / labels, format) as label_file,
        KeyReader(path) as reader,
    ):
        left_out = _SkippedSamples(folder, skip_bad, result)
        for number in range(1, total + 1):
            try:
                text, image = reader.label(number), reader.image(number)
                _check(image, check)
            except (ValueError, LMDBDataError) as error:
                left_out.add(_sample_name(path, number), str(error))
            else:
                file = _image_name(number, total) + extension_of(image)
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                (folder / file).write_bytes(image)
                label_file.write(file, text)
                result.written += 1
                result.empty_texts += not text
            advance(1)
        left_out.require_written(path)
    return result


def _check_texts(path: str, total: int, format: str) -> None:
    """Check that the format can hold all texts, before hours are spent on writing."""
    with KeyReader(path) as reader:
        for number in range(1, total + 1):
            # Unreadable labels are handled when their sample is written.
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


def _image_name(number: int, total: int) -> str:
    if total <= IMAGES_PER_FOLDER:
        return f"{IMAGE_FOLDER}/{number:09d}"
    return f"{IMAGE_FOLDER}/{(number - 1) // IMAGES_PER_FOLDER:04d}/{number:09d}"
