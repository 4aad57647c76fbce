"""HTML report of a test, written by ``lpv-mmocr eval --report``."""

from .hook import REPORT_NAME, ReportPageHook
from .page import Report, Table, render
from .statistics import ReadingStatistics, WordResult

__all__ = [
    "REPORT_NAME",
    "ReadingStatistics",
    "Report",
    "ReportPageHook",
    "Table",
    "WordResult",
    "render",
]
