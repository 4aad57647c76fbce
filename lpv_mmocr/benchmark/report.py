"""Report of the benchmark: a terminal table, Markdown, JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ..atomic_files import write_file
from ..markdown_table import markdown_table
from .loading import LoadingMeasurement
from .machine import Machine
from .measurement import Measurement

TITLES = {
    "forward": "Model forward",
    "inference": "End-to-end inference, from encoded image to text",
    "train": "Training step: forward, backward, clipping, optimiser",
}
_MISSING = "-"

NOTES = """\
Weights are random, as speed does not depend on them. Models ran in turns, round by round. Latency
is the median over the rounds ± half the interquartile range; *speed* is the median of the
round-by-round ratios to the baseline (higher is faster). *Share of peak* is the operations per
second relative to a large matrix product of the same precision, measured in the same rounds; a
training step counts as three forward passes. *Memory* is that of tensors: model, optimiser, and the
maximum that a call adds. *First call* includes one-time work.
"""


@dataclass(kw_only=True)
class Report:
    """Results of one run of the benchmark.

    Attributes:
        machine: Machine that it ran on.
        date: Date, as YYYY-MM-DD.
        command: Command line.
        baseline: Label of the model that the others are compared with.
        rounds: Number of rounds.
        sweep: Axis of a sweep, or None.
        measurements: Measurements of the models.
        loading: Measurements of the data loaders.
    """

    machine: Machine
    date: str
    command: str
    baseline: str
    rounds: int
    sweep: str | None = None
    measurements: list[Measurement] = field(default_factory=list)
    loading: list[LoadingMeasurement] = field(default_factory=list)

    def to_json(self) -> str:
        """Return the report as JSON, in seconds, bytes and multiply-accumulates."""
        content = {
            "machine": asdict(self.machine),
            "date": self.date,
            "command": self.command,
            "baseline": self.baseline,
            "rounds": self.rounds,
            "sweep": self.sweep,
            "random_weights": True,
            "measurements": [measurement.to_dict() for measurement in self.measurements],
            "loading": [measurement.to_dict() for measurement in self.loading],
        }
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"

    def to_markdown(self) -> str:
        """Return the report as Markdown, aligned for display in a terminal as well."""
        machine = self.machine
        lines = [
            "# Benchmark",
            "",
            f"{machine.device}, {machine.threads} threads on {machine.cores} cores "
            f"({machine.instructions}), PyTorch {machine.torch}, {self.date}, {self.rounds} "
            "rounds.",
            "",
            f"    {self.command}",
            "",
            *NOTES.splitlines(),
        ]
        for (task, batch_size), measurements in self.groups().items():
            heading = TITLES[task] + (f", batch {batch_size}" if batch_size else "")
            lines += ["", f"## {heading}", "", *_table(measurements, _COLUMNS)]
        if self.loading:
            lines += ["", "## Data loader", "", *_table(self.loading, _LOADING_COLUMNS)]
            shares = [line for m in self.loading if m.shares for line in _share_lines(m)]
            if shares:
                lines += ["", "Share of time by step:", "", *shares]
        return "\n".join(lines) + "\n"

    def groups(self) -> dict[tuple[str, int | None], list[Measurement]]:
        """Return measurements by task and batch size; a batch-size sweep is one group per task."""
        groups: dict[tuple[str, int | None], list[Measurement]] = {}
        for measurement in self.measurements:
            batch_size = None if self.sweep == "batch" else measurement.batch_size
            groups.setdefault((measurement.task, batch_size), []).append(measurement)
        return groups

    def write(self, folder: Path) -> None:
        """Write ``benchmark.json`` and ``benchmark.md``.

        Args:
            folder: Output folder; created if needed.
        """
        write_file(folder / "benchmark.json", self.to_json())
        write_file(folder / "benchmark.md", self.to_markdown())


def _number(value: float | None, digits: int = 3) -> str:
    """Format a number with about this many significant digits, never in powers of ten."""
    if value is None:
        return _MISSING
    decimals = max(digits - len(f"{abs(value):.0f}"), 0)
    if abs(value) < 1:
        decimals = digits
    return f"{value:,.{decimals}f}"


def _milliseconds(measurement: Measurement) -> str:
    latency = measurement.latency
    if latency is None:
        return _MISSING
    return f"{_number(1000 * latency.median)} ± {_number(500 * latency.spread, 2)}"


def _speed(measurement: Measurement) -> str:
    speed = measurement.speed
    return _MISSING if speed is None else f"{speed.median:.2f}x"


def _megabytes(value: int | None) -> str:
    return _number(None if value is None else value / 2**20)


def _percent(value: float | None) -> str:
    return _MISSING if value is None else f"{100 * value:.0f} %"


_COLUMNS: dict[str, Callable[[Measurement], str]] = {
    "model": lambda m: m.model,
    "batch": lambda m: str(m.batch_size),
    "precision": lambda m: m.precision,
    "parameters, M": lambda m: _number(m.parameters and m.parameters / 1e6),
    "GMAC/image": lambda m: _number(m.macs and m.macs / 1e9),
    "latency, ms": _milliseconds,
    "ms/image": lambda m: _number(m.latency and 1000 * m.latency.median / m.batch_size),
    "images/s": lambda m: _number(m.images_per_second),
    "speed": _speed,
    "share of peak": lambda m: _percent(m.share_of_peak),
    "memory, MiB": lambda m: _megabytes(m.peak_memory),
    "first call, s": lambda m: _number(m.first_call, 2),
    "remarks": lambda m: m.error or "",
}

_LOADING_COLUMNS: dict[str, Callable[[LoadingMeasurement], str]] = {
    "config": lambda m: m.model,
    "augmentation": lambda m: "on" if m.augmented else "off",
    "workers": lambda m: str(m.workers) if m.workers else "0 (one core)",
    "images/s": lambda m: f"{_number(m.rate.median)} ± {_number(m.rate.spread / 2, 2)}",
    "start-up, s": lambda m: _number(m.start_up, 2),
    "memory of workers, MiB": lambda m: _megabytes(m.memory),
}


def _share_lines(measurement: LoadingMeasurement) -> list[str]:
    shares = sorted(measurement.shares.items(), key=lambda item: -item[1])
    text = ", ".join(f"{step} {_percent(share)}" for step, share in shares)
    return [
        f"- {measurement.model}, augmentation {'on' if measurement.augmented else 'off'}: {text}"
    ]


def _table(rows: Sequence, columns: dict[str, Callable]) -> list[str]:
    """Return a table of the columns that have content in any of the rows."""
    cells = {title: [show(row) for row in rows] for title, show in columns.items()}
    kept = {title: column for title, column in cells.items() if {*column} - {"", _MISSING}}
    return markdown_table(
        list(kept), list(zip(*kept.values(), strict=True)), left=("model", "config", "remarks")
    )
