"""The benchmark as a picture: speed against parameters, or cost along a sweep."""

from __future__ import annotations

import io
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from ..engine.atomic_file_backend import AtomicLocalBackend
from .measurement import Measurement
from .report import TITLES, Report
from .sweep import AXES

_COLOURS = {"lpv": "#c44e52", "mmocr": "#4c72b0", "other": "#777777"}
_MARKERS = {"fp32": "o", "bf16": "s", "fp16": "^"}
_PANEL = (6.4, 4.8)
# Two labels closer than this, in points, cannot both be read.
_LINE_HEIGHT = 11.0


def draw(report: Report, file: Path) -> bool:
    """Draw the report as PNG: a panel for each task and batch size, one for a sweep.

    Args:
        report: What was measured.
        file: Where to.

    Returns:
        Whether there was anything to draw.
    """
    groups: dict[tuple, list[Measurement]] = {}
    for measurement in report.measurements:
        if measurement.times:
            batch_size = None if report.sweep == "batch" else measurement.batch_size
            groups.setdefault((measurement.task, batch_size), []).append(measurement)
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
    AtomicLocalBackend().put(content.getvalue(), file)
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
        name = measurement.model if axis == "batch" else measurement.model.partition(" ")[0]
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
    """Write labels to the right of their points, pushed apart where they would overlap."""
    axes.figure.draw_without_rendering()  # fixes the scale of the axes
    scale = 72 / axes.figure.dpi
    placed: list[tuple[float, float, float]] = []
    for x, y, label in sorted(zip(xs, ys, labels, strict=True), key=lambda item: item[1]):
        left, height = (value * scale for value in axes.transData.transform((x, y)))
        right = left + 10 + 5.0 * len(label)
        wanted = height
        for other_left, other_right, other in placed:
            if left < other_right and other_left < right and wanted - other < _LINE_HEIGHT:
                wanted = other + _LINE_HEIGHT
        placed.append((left, right, wanted))
        axes.annotate(
            label,
            (x, y),
            xytext=(8, wanted - height),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=_colour(label),
        )
