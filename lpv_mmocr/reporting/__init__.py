"""HTML report of a test, written by ``lpv-mmocr eval --report``."""

from .hook import REPORT_NAME, ReportPageHook
from .page import Report, Table, render
from .statistics import ReadingStatistics, ReadWord

__all__ = [
    "REPORT_NAME",
    "ReadWord",
    "ReadingStatistics",
    "Report",
    "ReportPageHook",
    "Table",
    "render",
]
