"""Label files that list images and their texts: TSV, and the three formats of MMOCR."""

from __future__ import annotations

import codecs
import itertools
import json
import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

FORMATS = {
    "tsv": "path<TAB>text",
    "txt": "path text, the first space separates (MMOCR)",
    "jsonl": '{"filename": path, "text": text} on each line (MMOCR)',
    "json": "metainfo and data_list (MMOCR 1.x)",
}
"""Formats by name, which is also the file extension, with a description of each."""

_BOM = codecs.BOM_UTF8
_BOMS_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class LabelFileError(ValueError):
    """Raised when a label file cannot be read, or a format cannot hold a sample."""


class LabelEntry(NamedTuple):
    """Entry of a label file for one image.

    Attributes:
        path: Path of the image as written in the file.
        text: Text of the image.
        where: File and line (or index in ``data_list``), for errors.
    """

    path: str
    text: str
    where: str


def format_of(path: str | os.PathLike, given: str | None = None) -> str:
    """Return the format of a label file.

    Args:
        path: Label file, whose extension determines the format.
        given: Format that overrides the extension.

    Raises:
        LabelFileError: If neither names a format.
    """
    name = given or Path(path).suffix[1:].lower()
    if name not in FORMATS:
        known = ", ".join(FORMATS)
        if given:
            raise LabelFileError(f"there is no label format {given!r}; choose from {known}")
        raise LabelFileError(
            f"{path}: the file extension names no label format; give --format ({known})"
        )
    return name


def read_labels(path: str | os.PathLike, format: str | None = None) -> Iterator[LabelEntry]:
    """Read a label file entry by entry (a ``json`` file is parsed at once).

    Empty lines are skipped and a byte order mark is ignored. Texts are kept as they are, with their
    blanks, except in ``txt``, where blanks at both ends of a line are removed. One thing is
    changed: a letter and a combining accent after it become a single character where Unicode has
    one, because dictionaries have composed characters.

    Args:
        path: Label file, in UTF-8.
        format: One of ``FORMATS``; by default determined by the file extension.

    Yields:
        Entries of the file, in order.

    Raises:
        LabelFileError: If the format is unknown, or the file does not follow it. The message names
            the line or entry.
        OSError: If the file cannot be read.
    """
    format = format_of(path, format)
    if format == "json":
        yield from _read_json(path)
        return
    parse = {"tsv": _parse_tsv, "txt": _parse_txt, "jsonl": _parse_jsonl}[format]
    with open(path, "rb") as lines:
        for number, raw in enumerate(lines, 1):
            where = f"{path}, line {number}"
            line = _decode(raw.removeprefix(_BOM) if number == 1 else raw, where)
            line = line.removesuffix("\n").removesuffix("\r")
            if line and not line.isspace():
                yield _checked(*parse(line, where), where)


def _decode(raw: bytes, where: str) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        if raw.startswith(_BOMS_UTF16):
            raise LabelFileError(
                f"{where}: the file is UTF-16, as its byte order mark shows; convert it first: "
                "iconv -f UTF-16 -t UTF-8"
            ) from None
        raise LabelFileError(
            f"{where} is not UTF-8 ({error.reason} at byte {error.start}); convert the file first, "
            "for example with: iconv -f LATIN1 -t UTF-8"
        ) from None


def _checked(path: str, text: str, where: str) -> LabelEntry:
    if not path or "\0" in path:
        raise LabelFileError(f"{where}: the path of the image is {path!r}")
    try:
        (path + text).encode("utf-8")
    except UnicodeEncodeError:  # JSON can encode half of a surrogate pair
        raise LabelFileError(
            f"{where}: {text!r} holds half of a surrogate pair, which is not a character"
        ) from None
    return LabelEntry(path, _composed(text), where)


def _composed(text: str) -> str:
    """Return a text with its accents composed, which some systems (macOS) store separately."""
    if unicodedata.is_normalized("NFC", text):
        return text
    # NFC also replaces and splits a few single characters, which dictionaries may have.
    runs = itertools.groupby(text, lambda character: unicodedata.is_normalized("NFC", character))
    parts = []
    for stays, characters in runs:
        part = "".join(characters)
        composed = unicodedata.normalize("NFC", part)
        parts.append(composed if stays and len(composed) < len(part) else part)
    return "".join(parts)


def _parse_tsv(line: str, where: str) -> tuple[str, str]:
    columns = line.split("\t")
    if len(columns) == 2:
        return columns[0], columns[1]
    if len(columns) == 1:
        raise LabelFileError(
            f"{where}: there is no TAB between path and text in {line!r} (formats: "
            f"{', '.join(FORMATS)}; the file extension or --format selects one)"
        )
    raise LabelFileError(
        f"{where}: {len(columns)} columns instead of path and text; a text with a TAB needs jsonl "
        "or json"
    )


def _parse_txt(line: str, where: str) -> tuple[str, str]:
    path, _, text = line.strip().partition(" ")
    if "\t" in path:
        raise LabelFileError(
            f"{where}: there is a TAB before the first space, so the file is tsv rather than txt; "
            "rename it or give --format tsv"
        )
    if not text:
        raise LabelFileError(
            f"{where}: there is no text after {path!r}; an empty text needs tsv, jsonl or json"
        )
    return path, text


def _parse_jsonl(line: str, where: str) -> tuple[str, str]:
    entry = _load_json(line, where)
    return _string(entry, "filename", where), _string(entry, "text", where)


def _read_json(path: str | os.PathLike) -> Iterator[LabelEntry]:
    content = _load_json(_decode(Path(path).read_bytes().removeprefix(_BOM), str(path)), str(path))
    entries = content.get("data_list") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise LabelFileError(
            f"{path} has no list 'data_list'; a json file of MMOCR 1.x holds 'metainfo' and "
            "'data_list' (one object per line is jsonl)"
        )
    for number, entry in enumerate(entries):
        where = f"{path}, data_list[{number}]"
        image = _string(entry, "img_path", where)
        instances = entry.get("instances")
        if not isinstance(instances, list) or len(instances) != 1:
            raise LabelFileError(
                f"{where}: 'instances' must be a list of one text, that of a word image; from "
                "images with several texts (text detection), crop the words first"
            )
        yield _checked(image, _string(instances[0], "text", where), where)


def _load_json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise LabelFileError(f"{where} is not valid JSON: {error.msg} ({place})") from None
    except ValueError as error:  # a number with thousands of digits
        raise LabelFileError(f"{where} is not a label file: {error}") from None
    except RecursionError:
        raise LabelFileError(
            f"{where} is not a label file: its JSON is nested too deeply"
        ) from None


def _string(entry: object, key: str, where: str) -> str:
    value = entry.get(key) if isinstance(entry, dict) else None
    if not isinstance(value, str):
        found = f"holds {value!r}" if isinstance(entry, dict) and key in entry else "is missing"
        raise LabelFileError(f"{where}: {key!r} must be a string, but {found}")
    return value


def check_text(text: str, format: str, name: str) -> None:
    """Check that a format can hold a text, so that it is read back unchanged.

    (Combining accents are the exception: reading composes them with their letters.)

    Args:
        text: The text.
        format: One of ``FORMATS``.
        name: Name of the sample in the error message.

    Raises:
        LabelFileError: If the format cannot; the message names formats that can.
    """
    obstacle = _obstacle(text, format)
    if obstacle is not None:
        able = [other for other in FORMATS if _obstacle(text, other) is None]
        raise LabelFileError(
            f"{name}: its text {text!r} has {obstacle}, which {format} cannot hold; "
            f"use {' or '.join(able)}"
        )


def _obstacle(text: str, format: str) -> str | None:
    if format == "tsv":
        named = {"\t": "a TAB", "\n": "a line break", "\r": "a carriage return"}
        return next((name for character, name in named.items() if character in text), None)
    if format == "txt":
        if not text:
            return "no character"
        # MMOCR uses only the part between the first and the second space.
        return "white space" if any(map(str.isspace, text)) else None
    return None


class LabelFileWriter:
    """Writer of a label file, entry by entry; texts must pass :func:`check_text`.

    Args:
        path: Label file, in UTF-8.
        format: One of ``FORMATS``.

    Example:
        >>> with LabelFileWriter("labels.jsonl", "jsonl") as labels:
        ...     labels.write("images/1.jpg", "word")
    """

    def __init__(self, path: str | os.PathLike, format: str) -> None:
        self._path, self._format, self._written = path, format, 0

    def __enter__(self) -> LabelFileWriter:
        """Open the file."""
        self._file = open(self._path, "w", encoding="utf-8", newline="\n")
        if self._format == "json":
            metainfo = dict(dataset_type="TextRecogDataset", task_name="textrecog")
            self._file.write(f'{{"metainfo": {json.dumps(metainfo)}, "data_list": [')
        return self

    def write(self, path: str, text: str) -> None:
        """Add an image, whose path is relative to the folder of the file, and its text."""
        self._file.write(self._line(path, text))
        self._written += 1

    def _line(self, path: str, text: str) -> str:
        if self._format == "tsv":
            return f"{path}\t{text}\n"
        if self._format == "txt":
            return f"{path} {text}\n"
        if self._format == "jsonl":
            return json.dumps(dict(filename=path, text=text), ensure_ascii=False) + "\n"
        entry = json.dumps(dict(img_path=path, instances=[dict(text=text)]), ensure_ascii=False)
        return f",\n{entry}" if self._written else f"\n{entry}"

    def __exit__(self, *error: object) -> None:
        """Finish and close the file."""
        if self._format == "json":
            self._file.write("\n]}\n")
        self._file.close()
