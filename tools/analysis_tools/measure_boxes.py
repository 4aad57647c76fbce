"""Evaluate character boxes on rendered words, whose letter positions are known.

The true box of a letter is that of its rendered ink. Only words read with the right number of
characters count, since other words do not have a box for every letter; --exact restricts them to
those read without errors.

Example:
    python tools/analysis_tools/measure_boxes.py lpv-toy.pth
    python tools/analysis_tools/measure_boxes.py --config CONFIG CHECKPOINT --exact --count 500
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass

from lpv_mmocr import cli
from lpv_mmocr.reading import WordReader
from lpv_mmocr.rendering import PRESETS, RenderedWord, RenderedWordDataset

import numpy as np
from rich.console import Console
from rich.table import Table

from lpv_mmocr_cli import new_parser

LENGTHS = ((1, 1), (2, 3), (4, 6), (7, 10), (11, 25), (26, math.inf))
ALL = (1, math.inf)


@dataclass(frozen=True)
class BoxScores:
    """Agreement between the boxes of one word and its letters.

    Attributes:
        iou: Intersection over union of each letter's box and the box of its ink, shape (n,).
        hit: Whether the centre of each box is in the box of the ink, shape (n,).
    """

    iou: np.ndarray
    hit: np.ndarray


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument(
        "checkpoint",
        help="checkpoint, or the name of a bundled one, such as lpv-mini; its decoder "
        "must be a CPADecoder",
    )
    parser.add_argument("--config", help="config of the model (default: the one in the checkpoint)")
    parser.add_argument(
        "--device", help="such as cpu or cuda:1 (default: the first GPU, else the CPU)"
    )
    parser.add_argument("--count", type=int, default=1000, help="number of words (default: 1000)")
    parser.add_argument(
        "--seed", type=int, default=1000, help="seed of the words (default: 1000; training uses 0)"
    )
    parser.add_argument(
        "--difficulty",
        choices=sorted(PRESETS),
        default="easy",
        help="preset of the rendered words (default: easy)",
    )
    parser.add_argument(
        "--charset",
        default="lower",
        help="characters of the words, as in render_words.py (default: lower)",
    )
    parser.add_argument(
        "--min-length", type=int, default=1, help="minimum number of characters (default: 1)"
    )
    parser.add_argument(
        "--max-length", type=int, default=25, help="maximum number of characters (default: 25)"
    )
    parser.add_argument("--exact", action="store_true", help="count only words read without errors")
    return parser.parse_args(argv)


def score(boxes: np.ndarray, truth: np.ndarray) -> BoxScores:
    """Compare boxes with those of the ink.

    Args:
        boxes: Boxes of the letters, shape (n, 4).
        truth: Boxes of their ink, shape (n, 4).
    """
    near = np.maximum(boxes[:, :2], truth[:, :2])
    far = np.minimum(boxes[:, 2:], truth[:, 2:])
    common = np.clip(far - near, 0, None).prod(axis=1)
    areas = [(item[:, 2:] - item[:, :2]).prod(axis=1) for item in (boxes, truth)]
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    inside = (middle >= truth[:, :2]) & (middle <= truth[:, 2:])
    return BoxScores(common / np.maximum(sum(areas) - common, 1e-9), inside.all(axis=1))


def render(args: argparse.Namespace) -> list[RenderedWord]:
    """Render the words to evaluate on."""
    renderer = RenderedWordDataset(
        difficulty=args.difficulty,
        charset=args.charset,
        min_length=args.min_length,
        max_length=args.max_length,
    ).renderer
    return [renderer(args.seed, index) for index in range(args.count)]


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    with cli.ReportInputErrors(traceback=args.traceback):
        if args.count < 1:
            raise cli.InputError(f"--count must be at least 1, got {args.count}")
        reader = WordReader(args.checkpoint, args.config, device=args.device, boxes=True, tta=False)
        words = render(args)
        found: dict[int, list[BoxScores]] = {}
        readings = reader.iterate(word.image[..., ::-1] for word in words)
        for word, reading in zip(words, readings, strict=True):
            length = len(reading.boxes)
            right = length == len(word.label)
            if args.exact:
                right = reading.text.lower() == word.label.lower()
            # A letter that the crop cut off, or that leaves no ink, has no box to compare with.
            truth = word.letters.boxes()
            shown = (truth[:, 2] > truth[:, 0]) & (truth[:, 3] > truth[:, 1])
            if right and shown.any():
                found.setdefault(length, []).append(score(reading.boxes[shown], truth[shown]))
        report(found, args)
    return 0


def report(found: dict[int, list[BoxScores]], args: argparse.Namespace) -> None:
    """Print a table by word length.

    Args:
        found: Scores of words, keyed by number of characters.
        args: Command-line options.
    """
    table = Table("characters", "words", "letters", "mean IoU", "centre in the letter's box")
    for low, high in (*LENGTHS, ALL):
        scores = [
            item for length, items in found.items() if low <= length <= high for item in items
        ]
        if not scores:
            continue
        iou, hit = (np.concatenate([getattr(s, name) for s in scores]) for name in ("iou", "hit"))
        name = f"{low}" if low == high else f"{low}-{high}"
        if high == math.inf:
            name = "all" if low == 1 else f"{low} and more"
        row = f"{len(scores)}", f"{len(iou)}", f"{iou.mean():.3f}", f"{100 * hit.mean():.1f} %"
        table.add_row(name, *row)
    counted = sum(map(len, found.values()))
    which = "without errors" if args.exact else "with the right number of characters"
    console = Console()
    console.print(table)
    console.print(f"{counted} of {args.count} words were read {which}; the others do not count")


if __name__ == "__main__":
    raise SystemExit(main())
