"""Evaluation on the benchmark sets of scene text recognition."""

from .benchmark_dataset import BenchmarkDataset
from .benchmark_metric import BenchmarkMetric
from .benchmark_sets import EXPECTED_COUNTS, SET_GROUPS
from .prediction_hooks import PredictionWriterHook, RecogVisualizationHook
from .report import BenchmarkReport
from .report_hook import BenchmarkReportHook
from .scores import MeanScore, SetScore, WordScore, mean_score, score_sets
from .text_protocol import TextProtocol
from .unreadable_labels import UnreadableLabelsHook

__all__ = [
    "EXPECTED_COUNTS",
    "SET_GROUPS",
    "BenchmarkDataset",
    "BenchmarkMetric",
    "BenchmarkReport",
    "BenchmarkReportHook",
    "MeanScore",
    "PredictionWriterHook",
    "RecogVisualizationHook",
    "SetScore",
    "TextProtocol",
    "UnreadableLabelsHook",
    "WordScore",
    "mean_score",
    "score_sets",
]
