"""Measuring speed: models side by side, training steps, data loaders.

``tools/analysis_tools/benchmark.py`` is its command line. Importing ``lpv_mmocr`` does not import
this package.
"""

from .machine import Machine, describe_machine
from .measurement import Measurement
from .report import Report
from .specification import Specification, parse_adapter, parse_model
from .tasks import Plan, run_task

__all__ = [
    "Machine",
    "Measurement",
    "Plan",
    "Report",
    "Specification",
    "describe_machine",
    "parse_adapter",
    "parse_model",
    "run_task",
]
