"""Plots of the benchmark: speed against parameters, or cost along a sweep."""

from __future__ import annotations

import io
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from ..atomic_files import write_file
from .measurement import Measurement
from .report import TITLES, Report
from .sweep import AXES

_COLOURS = {"lpv": "#c44e52", "mmocr": "#4c72b0", "other": "#777777"}
_MARKERS = {"fp32": "o", "bf16": "s", "fp16": "^", "int8": "v"}
_PANEL = (6.4, 4.8)
# Two labels closer than this, in points, are not both legible.
_LINE_HEIGHT = 11.0
_MARKER = 4.0
# Label positions in order of preference: alignment, and number of lines above the point.
_PLACES = [("left", 0), ("right", 0), ("left", 1), ("left", -1), ("right", 1), ("right", -1)]


def draw(report: Report, file: Path) -> bool:
    """Plot the report as a PNG file, with a panel for each task and batch size.

    A sweep over batch sizes has one panel per task.

    Args:
        report: Measurements to plot.
        file: PNG file to write.

    Returns:
        Whether there was anything to draw.
    """
    groups = {
        key: timed
        for key, members in report.groups().items()
        if (timed := [member for member in members if member.times])
    }
    if not groups:
        return False
    figure = Figure(figsize=(_PANEL[0] * len(groups), _PANEL[1]), dpi=120, layout="constrained")
    panels = figure.subplots(1, len(groups), squeeze=False)[0]
    for axes, ((task, batch_size), measurements) in zip(panels, groups.items(), strict=True):
        title = TITLES[task].partition(":")[0].partition(",")[0]
        axes.set_title(f"{title}, batch {batch_size}" if batch_size else title)
        if report.sweep:
            _draw_sweep(axes, measurements, report.sweep)
        else:
            _draw_speed(axes, measurements)
        axes.grid(which="major", color="#dddddd", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(
        f"{report.machine.device}, threads: {report.machine.threads}, PyTorch "
        f"{report.machine.torch}",
        fontsize=9,
        color="#555555",
    )
    content = io.BytesIO()
    figure.savefig(content, format="png")
    write_file(file, content.getvalue())
    return True


def _draw_speed(axes: Axes, measurements: list[Measurement]) -> None:
    xs = [measurement.parameters / 1e6 for measurement in measurements]
    ys = [measurement.images_per_second for measurement in measurements]
    for x, y, measurement in zip(xs, ys, measurements, strict=True):
        axes.plot(
            x, y, _MARKERS[measurement.precision], color=_colour(measurement.model), markersize=8
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(min(xs) / 1.3, max(xs) * 2.2)  # room for the labels
    axes.set_ylim(min(ys) / 1.5, max(ys) * 1.5)
    axes.set_xlabel("parameters, millions")
    axes.set_ylabel("images per second")
    _plain_ticks(axes)
    _label(axes, xs, ys, [measurement.model for measurement in measurements])


def _draw_sweep(axes: Axes, measurements: list[Measurement], axis: str) -> None:
    curves: dict[str, list[tuple[float, float]]] = {}
    for measurement in measurements:
        name = measurement.base or measurement.model
        at = measurement.batch_size if axis == "batch" else measurement.at
        per_image = 1000 * measurement.latency.median / measurement.batch_size
        curves.setdefault(name, []).append((at, per_image))
    for name, points in curves.items():
        axes.plot(*zip(*sorted(points), strict=True), "o-", label=name)
    if axis == "batch":
        axes.set_xscale("log", base=2)
    axes.set_ylim(bottom=0)
    axes.set_xticks(sorted({at for points in curves.values() for at, _ in points}))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(AXES[axis])
    axes.set_ylabel("milliseconds per image")
    axes.legend(frameon=False)


def _colour(model: str) -> str:
    kind = model.split("-")[0].split(":")[0]
    return _COLOURS.get(kind, _COLOURS["other"])


def _plain_ticks(axes: Axes) -> None:
    for axis in (axes.xaxis, axes.yaxis):
        plain = FuncFormatter(lambda value, _: f"{value:,g}")
        axis.set_major_formatter(plain)
        axis.set_minor_formatter(
            FuncFormatter(lambda value, _: f"{value:,g}" if f"{value:e}"[0] in "25" else "")
        )
        axis.set_tick_params(which="minor", labelsize=8)


def _label(axes: Axes, xs: list[float], ys: list[float], labels: list[str]) -> None:
    """Write labels next to their points, if possible covering neither labels nor other points."""
    axes.figure.draw_without_rendering()  # fixes the scale of the axes
    scale = 72 / axes.figure.dpi
    points = [tuple(scale * axes.transData.transform(point)) for point in zip(xs, ys, strict=True)]
    first = scale * axes.bbox.x0
    # Left, right and height, in points, of what must stay legible.
    covered = [(left - _MARKER, left + _MARKER, height) for left, height in points]
    for number in sorted(range(len(labels)), key=lambda number: ys[number]):
        x, height = points[number]
        width = 5.0 * len(labels[number])
        spans = {"left": (x + 8, x + 8 + width), "right": (x - 8 - width, x - 8)}
        for alignment, lines in _PLACES:
            span = (*spans[alignment], height + lines * _LINE_HEIGHT)
            if span[0] >= first and not any(_overlap(span, other) for other in covered):
                break
        else:
            alignment, lines = _PLACES[0]
            span = (*spans[alignment], height)
        covered.append(span)
        axes.annotate(
            labels[number],
            (xs[number], ys[number]),
            xytext=(8 if alignment == "left" else -8, lines * _LINE_HEIGHT),
            textcoords="offset points",
            ha=alignment,
            va="center",
            fontsize=9,
            color=_colour(labels[number]),
        )


def _overlap(one: tuple[float, float, float], other: tuple[float, float, float]) -> bool:
    apart = one[1] <= other[0] or other[1] <= one[0]
    return not apart and abs(one[2] - other[2]) < _LINE_HEIGHT
