"""Measurement of one model in one task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from .timing import Summary, speed_up, summarise


@dataclass(kw_only=True)
class Measurement:
    """Measurement of one model in one task with one batch size.

    Attributes:
        task: "forward", "inference" or "train".
        model: Label of the model.
        batch_size: Number of images per call.
        precision: "fp32", "bf16" or "fp16", or "int8" for an ONNX file.
        parameters: Number of trainable parameters.
        macs: Multiply-accumulates of a call per image, or None if unknown.
        first_call: Seconds of the very first call, including one-time work such as
            ``torch.compile``.
        peak_memory: Peak memory of the tensors in bytes: persistent ones, and what a call adds.
            None if they are not PyTorch's.
        times: Seconds per call in each round.
        baseline_times: Seconds per call of the baseline in each round, or empty.
        peak_macs: Multiply-accumulates per second of a large matrix product in the same rounds.
        at: Position on the axis of a sweep, or None.
        base: Label of the model that a sweep varies, or None.
        error: Reason why there are no times, or None.
    """

    task: str
    model: str
    batch_size: int
    precision: str = "fp32"
    parameters: int | None = None
    macs: int | None = None
    first_call: float | None = None
    peak_memory: int | None = None
    times: list[float] = field(default_factory=list)
    baseline_times: Sequence[float] = ()
    peak_macs: float | None = None
    at: float | None = None
    base: str | None = None
    error: str | None = None

    @property
    def latency(self) -> Summary | None:
        """Seconds per call."""
        return summarise(self.times) if self.times else None

    @property
    def images_per_second(self) -> float | None:
        """Throughput, from the median latency."""
        return self.batch_size / self.latency.median if self.latency else None

    @property
    def speed(self) -> Summary | None:
        """Speed-up over the baseline."""
        if not self.times or not self.baseline_times:
            return None
        return speed_up(self.baseline_times, self.times)

    @property
    def share_of_peak(self) -> float | None:
        """Fraction of the machine's measured matrix-product peak that the model reaches."""
        if None in (self.macs, self.peak_macs, self.images_per_second):
            return None
        return self.macs * self.images_per_second / self.peak_macs

    def to_dict(self) -> dict[str, Any]:
        """Return all values, including derived ones, in a JSON-compatible form."""
        raw = asdict(self)
        raw.pop("baseline_times")
        for name in ("latency", "speed"):
            summary = getattr(self, name)
            raw[name] = summary and {**asdict(summary), "spread": summary.spread}
        return {
            **raw,
            "images_per_second": self.images_per_second,
            "share_of_peak": self.share_of_peak,
        }
