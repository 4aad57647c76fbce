"""Inspect LMDBs: counts, labels, sizes of images, bad samples, and a sample sheet.

Every image is decoded, unless --no-decode (headers only) or --sample N (N images) is given.
Exit status: 0, 1 if bad samples were found, 2 if a path holds no readable LMDB.

Example:
    python tools/analysis_tools/lmdb_info.py data/evaluation --sheet words.png
    python tools/analysis_tools/lmdb_info.py data/training --sample 10000 --json training.json
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence

from lpv_mmocr_cli import new_parser


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    add = parser.add_argument
    add("paths", nargs="+", metavar="PATH", help="LMDB, or folder with a tree of them")
    add("--no-decode", action="store_true", help="read only the headers of images (faster)")
    add("--sample", type=int, metavar="N", help="inspect only N random images per LMDB")
    add("--each", action="store_true", help="print details of each LMDB instead of the total")
    add("--json", metavar="FILE", help="also write everything as JSON")
    add("--sheet", metavar="FILE.png", help="also write a contact sheet of random samples")
    add("--sheet-count", type=int, default=100, help="samples on the sheet (default: 100)")
    add("--sheet-font", metavar="FILE", help="font for labels on the sheet that are not ASCII")
    add("--seed", type=int, default=0, help="seed of the random samples (default: 0)")
    return parser.parse_args(argv)


if __name__ == "__main__":
    parse_args()  # --help and usage errors need not wait for the imports below

from lpv_mmocr import cli
from lpv_mmocr.atomic_files import write_file
from lpv_mmocr.datasets import decode_image
from lpv_mmocr.datasets.lmdb_environment import (
    KeyReader,
    LMDBDataError,
    count_samples,
    image_key,
    label_key,
    real_file,
)
from lpv_mmocr.datasets.lmdb_folders import find_lmdbs
from lpv_mmocr.datasets.lmdb_report import print_details, print_overview
from lpv_mmocr.datasets.lmdb_statistics import LMDBStatistics, gather_statistics, total_of
from lpv_mmocr.progress import progress_bar
from lpv_mmocr.rendering.contact_sheet import save_sheet

import numpy as np
from PIL import ImageFont
from rich.console import Console

EXIT_BAD_SAMPLES = 1


def gather(args: argparse.Namespace, paths: list[str]) -> list[LMDBStatistics]:
    total = sum(map(count_samples, paths))
    with progress_bar(total, "inspecting samples") as advance:
        return [
            gather_statistics(
                path,
                decode=not args.no_decode,
                sample=args.sample,
                seed=args.seed,
                on_progress=advance,
            )
            for path in paths
        ]


def write_sheet(args: argparse.Namespace, paths: list[str]) -> int:
    """Write the sample sheet and return the number of samples on it."""
    counts = [count_samples(path) for path in paths]
    ends = np.cumsum(counts)
    count = min(args.sheet_count, int(ends[-1]))
    rng = np.random.default_rng(args.seed)
    chosen = np.sort(rng.choice(ends[-1], size=count, replace=False))

    def entries() -> Iterator[tuple[np.ndarray, str, str | None]]:
        for position in chosen:
            part = int(np.searchsorted(ends, position, side="right"))
            yield sheet_entry(
                paths[part], int(position - ends[part] + counts[part]) + 1, args.sheet_font
            )

    save_sheet(entries(), count, args.sheet)
    return count


def sheet_entry(path: str, number: int, font: str | None) -> tuple[np.ndarray, str, str | None]:
    """Return image (H, W, 3) in RGB, caption, and the caption's font if not the default."""
    label = "(not readable)"
    try:
        with KeyReader(path) as reader:
            stored = reader.get(label_key(number)) or b""
            label = stored.decode("utf-8", errors="replace") or "(empty)"
            image = decode_image(reader.get(image_key(number)) or b"")[..., ::-1]
    except (ValueError, LMDBDataError):
        image, label = np.full((32, 100, 3), 160, np.uint8), f"(bad) {label}"
    return np.ascontiguousarray(image), f"{number}: {label}", None if label.isascii() else font


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    with cli.ReportInputErrors(traceback=args.traceback):
        if args.sheet_count < 1:
            raise cli.InputError(f"--sheet-count must be at least 1, got {args.sheet_count}")
        if args.sample is not None and args.sample < 1:
            raise cli.InputError(f"--sample must be at least 1, got {args.sample}")
        # Checked now, not after hours of decoding.
        if args.sheet_font:
            cli.require_file(args.sheet_font, "font")
            try:
                ImageFont.truetype(args.sheet_font)
            except OSError as error:
                raise cli.InputError(f"--sheet-font {args.sheet_font} is not a font") from error
        if args.json:
            cli.require_new_file(args.json, "--json")
        if args.sheet:
            cli.require_new_file(args.sheet, "--sheet", cli.FIGURE_SUFFIXES)
        names: dict[str, str] = {}  # of each LMDB, by its file
        for path in args.paths:
            for lmdb in find_lmdbs(path):
                names.setdefault(real_file(lmdb), lmdb)
        paths = list(names.values())
        parts = gather(args, paths)
        total = total_of(parts, f"{len(parts)} LMDBs together") if len(parts) > 1 else parts[0]
        written: list[str] = []
        try:  # files first, since the standard output may be closed
            if args.json:
                content = dict(lmdbs=[part.as_dict() for part in parts], total=total.as_dict())
                write_file(args.json, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
                written.append(f"wrote {args.json}")
            if args.sheet:
                written.append(f"wrote {args.sheet}: {write_sheet(args, paths)} samples")
        finally:  # also if a disk is full
            report(parts, total, args.each)
            for line in written:
                print(line)
        return EXIT_BAD_SAMPLES if total.bad_count else 0


class PipedConsole(Console):
    """Console that leaves a closed pipe, such as one to ``head``, to the command."""

    def on_broken_pipe(self) -> None:
        """Raise the error again; the base class would exit with the status of bad samples."""
        raise


def report(parts: list[LMDBStatistics], total: LMDBStatistics, each: bool) -> None:
    # Without a terminal, the width is not limited: make it wide enough for the tables.
    width = None if sys.stdout.isatty() else 120
    console = PipedConsole(file=sys.stdout, width=width, highlight=False)
    if len(parts) > 1:
        print_overview([*parts, total], console)
    for found in parts if each else [total]:
        print_details(found, console)
        console.print()


if __name__ == "__main__":
    raise SystemExit(main())
