"""Read images of words.

Prints path, text and confidence of each image. Images that cannot be read are reported on standard
error, and reading continues.

Example:
    lpv-mmocr read word.jpg
    lpv-mmocr read words/ --weights lpv-mini
    lpv-mmocr read 'words/**/*.png' --json > readings.jsonl
    find . -name '*.jpg' | lpv-mmocr read - --csv --out results
    lpv-mmocr read words/ --out results --attention --boxes

Exit status: 0 if all images were read, 1 if some could not be, 2 for bad input.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

from lpv_mmocr_cli import DTYPES, new_parser

if TYPE_CHECKING:
    from lpv_mmocr.reading import Reading, WordReader
    from lpv_mmocr.reading.image_files import ImageFiles

EXIT_UNREADABLE = 1
ATTENTION = "attention"  # folder below --out
MAX_STEM_BYTES = 100  # maximum bytes of a source name in the name of its drawing; systems allow 255


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    add = parser.add_argument
    add(
        "paths",
        nargs="+",
        metavar="PATH",
        help="image; folder, searched recursively for images (by suffix: .jpg, .png, .tif, .webp, "
        ".bmp, .gif and the like); quoted pattern, such as 'words/**/*.png'; "
        "or - for a list of files and folders on standard input, one per line",
    )
    add(
        "--weights",
        metavar="FILE",
        help="checkpoint, or the name of a bundled one, such as lpv-mini (default: the one "
        "named by LPV_WEIGHTS, else the bundled default)",
    )
    add("--config", help="config of the model (default: the one in the checkpoint)")
    add("--device", help="such as cpu or cuda:1 (default: the first GPU, else the CPU)")
    add("--batch-size", type=int, default=32, metavar="N", help="images per batch (default: 32)")
    add(
        "--deploy",
        choices=DTYPES,
        help="read with the model deployed in this type, faster on a CPU (not fp16)",
    )
    add(
        "--no-tta",
        dest="tta",
        action="store_false",
        help="read each image once; by default, low-confidence words are read again in augmented "
        "views, and the most confident reading is kept (test-time augmentation)",
    )
    add("--boxes", action="store_true", help="also give the box of each character, in pixels")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON lines, with all scores")
    form.add_argument("--csv", action="store_true", help="print CSV")
    add(
        "--out",
        type=Path,
        metavar="DIR",
        help="also write DIR/readings.jsonl, or readings.csv with --csv",
    )
    add(
        "--attention",
        action="store_true",
        help="draw the attention of the model, one figure per word in DIR/attention (needs --out)",
    )
    args = parser.parse_args(argv)
    if args.batch_size < 1:
        parser.error(f"--batch-size must be at least 1, got {args.batch_size}")
    if args.attention and args.out is None:
        parser.error("--attention writes images: give a folder with --out DIR")
    if args.deploy and (args.attention or args.boxes):
        parser.error("--deploy keeps no attention, so it excludes --attention and --boxes")
    return args


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    # Slow imports are deferred until the options are known to be valid.
    from lpv_mmocr import cli

    with cli.ReportInputErrors(traceback=args.traceback):
        return read(args)


def _lines_of_stdin() -> Iterator[str]:
    """Yield paths from standard input as they arrive, one per line; skip empty lines."""
    for number, line in enumerate(sys.stdin):
        if number == 0:
            line = line.removeprefix("\ufeff")  # byte order mark
        if path := line.rstrip("\r\n"):
            yield path


def read(args: argparse.Namespace) -> int:
    from lpv_mmocr.cli import InputError, require_folder, require_new_file
    from lpv_mmocr.reading import WordReader
    from lpv_mmocr.reading.image_files import ImageFiles, matches_nothing

    from lpv_onnx import printable

    paths = [path for path in args.paths if path != "-"]
    from_list = len(paths) < len(args.paths)
    if not from_list and all(map(matches_nothing, paths)):
        named = printable(", ".join(paths))
        raise InputError(f"there is no file or folder {named}, and no pattern fits one")
    if args.out is not None:  # before the model is loaded
        require_folder(args.out, "--out")
        require_new_file(args.out / f"readings.{_results_kind(args)}", "--out")
        if args.attention:
            require_folder(args.out / ATTENTION, "--out")
    for stream, errors in ((sys.stdin, "surrogateescape"), (sys.stdout, "backslashreplace")):
        if hasattr(stream, "reconfigure"):  # names of files need not be valid in any encoding
            stream.reconfigure(errors=errors)
    # Output of libraries must not mix with the results.
    with redirect_stdout(sys.stderr):
        reader = WordReader(
            args.weights,
            args.config,
            device=args.device,
            batch_size=args.batch_size,
            attention=args.attention,
            boxes=args.boxes,
            deploy=args.deploy,
            tta=args.tta,
        )
    # Those of an earlier run are not words, either.
    drawn = None if args.out is None else args.out / ATTENTION
    files = ImageFiles(paths, _lines_of_stdin() if from_list else (), results=drawn)
    count, unreadable = read_files(
        args, reader, files, lambda: None if from_list else sum(1 for _ in files)
    )
    summary = f"{count - unreadable} of {count} images read"
    if files.skipped:
        summary += f"; {files.skipped} other files in folders left alone"
    print(summary, file=sys.stderr)
    return EXIT_UNREADABLE if unreadable else 0


def read_files(
    args: argparse.Namespace,
    reader: WordReader,
    files: ImageFiles,
    total: Callable[[], int | None],
) -> tuple[int, int]:
    """Read all images, write each reading at once, and return the counts of all and unreadable."""
    from lpv_mmocr.cli import InputError
    from lpv_mmocr.reading.progress import reading_progress
    from lpv_mmocr.reading.writers import WRITERS, results_folder

    from lpv_onnx import printable

    kind = "jsonl" if args.json else "csv" if args.csv else "text"
    count = unreadable = 0
    with (
        results_folder(args.out, _results_kind(args)) as write_result,
        reading_progress(total) as (advance, results),
    ):
        write = WRITERS[kind](results)
        with redirect_stdout(sys.stderr):
            for count, reading in enumerate(reader.iterate(files), start=1):
                figure = draw(reading, count, args.out) if args.attention else None
                write(reading, figure)
                results.flush()
                write_result(reading, figure)
                if reading.error is not None:
                    unreadable += 1
                    print(printable(f"{reading.source}: {reading.error}"), file=sys.stderr)
                advance()
        if not count:  # here, so that earlier results are kept
            raise InputError("the list on standard input names no image")
    return count, unreadable


def _results_kind(args: argparse.Namespace) -> str:
    return "csv" if args.csv else "jsonl"


def draw(reading: Reading, number: int, out: Path) -> str | None:
    """Draw the attention of a reading; return the file name relative to the results folder."""
    if reading.error is not None:
        return None
    from lpv_mmocr.atomic_files import truncated, write_image
    from lpv_mmocr.visualization import draw_attention

    from PIL import Image

    stem = truncated(Path(reading.source).stem, MAX_STEM_BYTES)
    name = f"{ATTENTION}/{number:06d}_{stem}.png"
    drawn = draw_attention(reading.image[..., ::-1], reading.attention)
    write_image(out / name, Image.fromarray(drawn))
    return name


if __name__ == "__main__":
    sys.exit(main())
