"""Writing readings as text, JSON lines or CSV, one line each as they come."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TextIO

import lpv_onnx

from ..whole_files import partial_of
from .reading import Reading

Writer = Callable[[Reading, str | None], None]
"""Writes a reading, with the path of its picture of attention if there is one."""


def text_writer(stream: TextIO) -> Writer:
    """Lines for people: path, text and confidence, between tabs, then the boxes if there are some.

    Pictures that could not be read get no line.

    Args:
        stream: Where to write.
    """

    def write(reading: Reading, picture: str | None) -> None:
        if reading.error is not None:
            return
        name = lpv_onnx.printable(str(reading.source))
        columns = [name, lpv_onnx.without_controls(reading.text), f"{reading.confidence:.3f}"]
        if reading.boxes is not None:
            columns.append(_box_text(reading))
        stream.write("\t".join(columns) + "\n")

    return write


def json_writer(stream: TextIO) -> Writer:
    """JSON lines: an object for each picture, as :meth:`Reading.to_dict` makes it.

    Args:
        stream: Where to write.
    """

    def write(reading: Reading, picture: str | None) -> None:
        row = reading.to_dict()
        if picture is not None:
            row["attention"] = picture
        stream.write(lpv_onnx.json_line(row) + "\n")

    return write


def csv_writer(stream: TextIO) -> Writer:
    """CSV with a header: path, text, confidence, scores, boxes, attention, error.

    Scores are separated by blanks; a box is ``left,top,right,bottom``, and boxes are separated by
    blanks. On a terminal there are escapes for what cannot be printed.

    Args:
        stream: Where to write.
    """
    rows = csv.writer(stream, lineterminator="\n")
    rows.writerow(["path", "text", "confidence", "scores", "boxes", "attention", "error"])

    def write(reading: Reading, picture: str | None) -> None:
        plain = reading.to_dict()
        scores = " ".join(map(str, plain["scores"]))
        start = [reading.source, reading.text, plain["confidence"], scores]
        row = [*start, _box_text(reading), picture, reading.error]
        if stream.isatty():
            row = [lpv_onnx.printable(cell) if isinstance(cell, str) else cell for cell in row]
        rows.writerow(row)

    return write


WRITERS = {"text": text_writer, "jsonl": json_writer, "csv": csv_writer}
"""Writers by the name of what they write."""


@contextmanager
def results_folder(folder: Path | None, kind: str) -> Iterator[Writer]:
    """Write readings into ``readings.jsonl`` or ``readings.csv`` of a folder.

    Until all is written, the file has ``.partial`` behind its name; what an interrupted run had
    read stays there.

    Args:
        folder: Made if it is not there; None writes nothing.
        kind: ``jsonl`` or ``csv``.

    Yields:
        The writer.

    Raises:
        OSError: If the folder or the file cannot be written.
    """
    if folder is None:
        yield lambda reading, picture: None
        return
    folder.mkdir(parents=True, exist_ok=True)
    final = folder / f"readings.{kind}"
    partial = partial_of(final)
    with ExitStack() as stack:
        # A file name that is not valid UTF-8 comes out as the escape that JSON has for it.
        options = dict(encoding="utf-8", errors="backslashreplace", newline="")
        yield WRITERS[kind](stack.enter_context(partial.open("w", **options)))
    partial.replace(final)


def _box_text(reading: Reading) -> str:
    boxes = reading.to_dict().get("boxes", ())
    return " ".join(",".join(f"{edge:g}" for edge in box) for box in boxes)
