"""Plot training curves: loss, learning rate, and accuracy on the validation words.

A resumed training run has one folder of curves for each start; they are joined, and iterations that
were repeated are taken from the later start.

Example:
    python tools/analysis_tools/plot_curves.py work_dirs/run --out curves.png
    python tools/analysis_tools/plot_curves.py runs/one runs/two --out compared.svg
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from lpv_mmocr import cli

from matplotlib.figure import Figure

from lpv_mmocr_cli import new_parser

# Key in the log, label of the panel, and scale factor.
PANELS = (
    ("loss", "loss", 1.0),
    ("lr", "learning rate", 1.0),
    ("recog/accuracy", "validation word accuracy (%)", 100.0),
)
ENDINGS = (".png", ".svg", ".pdf", ".jpg")


class Point(NamedTuple):
    """One line of a log."""

    iteration: int
    values: dict[str, float]


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument(
        "runs", nargs="+", type=Path, metavar="RUN", help="work folder of a training run"
    )
    parser.add_argument(
        "--out",
        required=True,
        type=Path,
        metavar="FILE",
        help=f"figure to write: {', '.join(ENDINGS)}",
    )
    return parser.parse_args(argv)


def read_run(folder: Path) -> list[Point]:
    """Return what a training run has logged, over all its starts.

    Args:
        folder: Work folder of the run.

    Returns:
        Points in the order of iterations.

    Raises:
        cli.InputError: If there are none.
    """
    # Folders are named after the time of the start.
    files = sorted(folder.glob("*/vis_data/scalars.json"))
    points: list[Point] = []
    for file in files:
        last = 0
        for values in read_log(file):
            validation = "iter" not in values
            # MMEngine may number validations by epochs.
            iteration = max(values["step"], last) if validation else values["iter"]
            if not validation:
                if iteration <= last or last == 0:
                    points = [point for point in points if point.iteration < iteration]
                last = iteration
            points.append(Point(iteration, values))
    if not points:
        raise cli.InputError(
            f"{folder} has no curves (*/vis_data/scalars.json): give the work folder of a training "
            "run that has logged something"
        )
    return points


def read_log(file: Path) -> list[dict]:
    """Return the records of a log, without lines damaged by a crash or a full disk.

    Args:
        file: Log file; damaged lines are reported on standard error.
    """
    records, damaged = [], []
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if isinstance(record, dict) and isinstance(record.get("step"), int) and _plain(record):
            records.append(record)
        else:
            damaged.append(str(number))
    if damaged:
        print(f"{file}: damaged lines are left out: {', '.join(damaged)}", file=sys.stderr)
    return records


def _plain(record: dict) -> bool:
    """Return whether the plotted values of a record are numbers."""
    names = ("iter", *(key for key, _, _ in PANELS))
    return all(isinstance(record.get(name, 0), int | float) for name in names)


def _label(name: str) -> str:
    """Return a name that matplotlib shows as it is: not hidden, and not as a formula."""
    name = name.replace("$", r"\$")
    return f" {name}" if name.startswith("_") else name


def draw(runs: dict[str, list[Point]]) -> Figure:
    """Plot runs over each other, one panel for each quantity.

    Args:
        runs: Points of each run, by name.
    """
    figure = Figure(figsize=(8, 8), layout="constrained")
    panels = figure.subplots(len(PANELS), sharex=True)
    for axes, (key, label, factor) in zip(panels, PANELS, strict=True):
        for number, (name, points) in enumerate(runs.items()):
            curve = [(p.iteration, factor * p.values[key]) for p in points if key in p.values]
            if curve:
                axes.plot(
                    *zip(*curve, strict=True),
                    color=f"C{number % 10}",
                    label=_label(name),
                    # Markers make short curves visible, even a single value.
                    marker="o" if len(curve) < 30 else None,
                    markersize=4,
                )
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
        axes.margins(x=0.01)
        if not axes.lines:
            axes.text(0.5, 0.5, "not logged", ha="center", transform=axes.transAxes)
    first = next((axes for axes in panels if axes.lines), None)
    if first is not None:
        first.legend()
    panels[-1].set_ylim(0, 100)
    panels[-1].set_xlabel("iteration")
    return figure


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    with cli.ReportInputErrors(traceback=args.traceback):
        cli.require_new_file(args.out, "--out", ENDINGS)
        short = [folder.resolve().name for folder in args.runs]
        names = short if len(set(short)) == len(short) else map(str, args.runs)
        runs = {name: read_run(folder) for name, folder in zip(names, args.runs, strict=True)}
        draw(runs).savefig(args.out, dpi=120)
    for name, points in runs.items():
        print(f"{name}: {len(points)} values up to iteration {points[-1].iteration}")
    print(f"Wrote {args.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
