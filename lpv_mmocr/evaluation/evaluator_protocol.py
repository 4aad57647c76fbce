"""Protocol by which an evaluator compares texts."""

from __future__ import annotations

from collections.abc import Sequence

from mmengine.evaluator import BaseMetric
from mmocr.evaluation import WordMetric

from .benchmark_metric import BenchmarkMetric
from .text_protocol import ExactText, TextProtocol


def protocol_of(metrics: Sequence[BaseMetric]) -> TextProtocol | None:
    """Return the protocol by which metrics compare texts.

    Args:
        metrics: Metrics of an evaluator.

    Returns:
        The protocol of the first :class:`BenchmarkMetric`; without one, the exact comparison if
        MMOCR's ``WordMetric`` has no other mode; None if neither applies.
    """
    for metric in metrics:
        if isinstance(metric, BenchmarkMetric):
            return metric.protocol
    modes = {mode for metric in metrics if isinstance(metric, WordMetric) for mode in metric.mode}
    return ExactText() if modes == {"exact"} else None
