"""Writers of readings as text, JSON lines or CSV, one line per reading as it comes."""

from __future__ import annotations

import contextlib
import csv
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import lpv_onnx

from ..atomic_files import naming, partial_path
from ..file_lock import open_locked
from .reading import Reading

Writer = Callable[[Reading, str | None], None]
"""Callback that writes a reading, with the path of its attention figure or None."""


def text_writer(stream: TextIO) -> Writer:
    """Return a writer of tab-separated path, text and confidence, then boxes if there are any.

    Images that could not be read get no line.

    Args:
        stream: Stream to write to.
    """

    def write(reading: Reading, figure: str | None) -> None:
        if reading.error is not None:
            return
        name = lpv_onnx.printable(str(reading.source))
        columns = [name, lpv_onnx.without_controls(reading.text), f"{reading.confidence:.3f}"]
        if reading.boxes is not None:
            columns.append(_box_text(reading))
        stream.write("\t".join(columns) + "\n")

    return write


def json_writer(stream: TextIO) -> Writer:
    """Return a writer of JSON lines: one object per image, from :meth:`Reading.to_dict`.

    Args:
        stream: Stream to write to.
    """

    def write(reading: Reading, figure: str | None) -> None:
        row = reading.to_dict()
        if figure is not None:
            row["attention"] = figure
        stream.write(lpv_onnx.json_line(row, stream.encoding) + "\n")

    return write


def csv_writer(stream: TextIO) -> Writer:
    """Return a writer of CSV with path, text, confidence, scores, boxes, attention, error.

    The first row is a header. Scores are separated by blanks; a box is ``left,top,right,bottom``,
    and boxes are separated by blanks. On a terminal, unprintable characters are escaped.

    Args:
        stream: Stream to write to.
    """
    rows = csv.writer(_LineFeeds(stream))
    rows.writerow(["path", "text", "confidence", "scores", "boxes", "attention", "error"])

    def write(reading: Reading, figure: str | None) -> None:
        plain = reading.to_dict()
        scores = " ".join(map(str, plain["scores"]))
        start = [reading.source, reading.text, plain["confidence"], scores]
        row = [*start, _box_text(reading), figure, reading.error]
        if stream.isatty():
            row = [lpv_onnx.printable(cell) if isinstance(cell, str) else cell for cell in row]
        rows.writerow(row)

    return write


class _LineFeeds:
    """Stream for the module ``csv`` that ends each row with a line feed.

    Before Python 3.13, that module quotes only the line breaks that its own line end contains, so
    that must be both, while other tools take a carriage return for part of the last column.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, row: str) -> int:
        return self._stream.write(row.removesuffix("\r\n") + "\n")


WRITERS = {"text": text_writer, "jsonl": json_writer, "csv": csv_writer}
"""Writers by output format."""


@contextmanager
def results_folder(folder: Path | None, kind: str) -> Iterator[Writer]:
    """Write readings to ``readings.jsonl`` or ``readings.csv`` in a folder.

    Until it is complete, the file name has the suffix ``.partial``; the readings of an interrupted
    run stay there.

    Args:
        folder: Output folder, created if missing; None to write nothing.
        kind: ``jsonl`` or ``csv``.

    Yields:
        The writer.

    Raises:
        FileExistsError: If another process is writing these readings.
        OSError: If the folder or the file cannot be written.
    """
    if folder is None:
        yield lambda reading, figure: None
        return
    folder.mkdir(parents=True, exist_ok=True)
    final = folder / f"readings.{kind}"
    partial = partial_path(final)
    # Names of images need not be valid UTF-8.
    file = open_locked(partial, encoding="utf-8", errors="backslashreplace", newline="")
    if file is None:
        raise FileExistsError(
            f"another process is writing {partial}: wait for its end, or choose another folder"
        )
    try:
        file.truncate(0)  # what a killed process has left
        write = WRITERS[kind](file)

        def write_named(reading: Reading, figure: str | None) -> None:
            with naming(partial):
                write(reading, figure)

        yield write_named
        with naming(partial):
            file.flush()
    except BaseException:
        with contextlib.suppress(OSError):  # closing tries again to write what is left
            file.close()
        raise
    with file:
        if os.name == "nt":  # where an open file cannot be renamed, and is not locked
            file.close()
        partial.replace(final)


def _box_text(reading: Reading) -> str:
    boxes = reading.to_dict().get("boxes", ())
    return " ".join(",".join(f"{edge:g}" for edge in box) for box in boxes)
