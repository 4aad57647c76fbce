"""Hook that collects the data of a report during a test and writes it at the end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from itertools import chain
from pathlib import Path

from mmengine.dist import all_gather_object, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmocr.registry import HOOKS
from mmocr.structures import TextRecogDataSample

from ..atomic_files import write_file
from ..cli import require_new_file
from ..datasets.config_folders import read_folders
from ..engine.distributed import without_wrapper
from ..evaluation import BenchmarkMetric, TextProtocol
from ..evaluation.evaluator_protocol import protocol_of
from ..evaluation.score_table import row_of_set
from ..evaluation.tested_model import describe
from ..evaluation.text_protocol import ExactText
from ..sample_names import sample_name
from .page import Report, Table, render
from .reread import read_again
from .statistics import ReadingStatistics, WordResult

REPORT_NAME = "report.html"
"""Name of the page in its folder."""


@HOOKS.register_module()
class ReportPageHook(Hook):
    """Hook that writes a page with scores, confusions, calibration and worst errors of a test.

    The first :class:`BenchmarkMetric` of the evaluator determines what counts as correct; without
    one, label and reading must be equal. Every word of the dataset counts once, whatever the
    number of processes.

    Args:
        out_dir: Folder for ``report.html``, created at once so that a test does not run in vain.
        num_worst: Number of worst errors to show.

    Raises:
        InputError: If the folder cannot be created, or the page cannot be written there.
        ValueError: If ``num_worst`` is negative; when testing, if a word has no label.
    """

    def __init__(self, *, out_dir: str, num_worst: int = 30) -> None:
        if num_worst < 0:
            raise ValueError(f"num_worst must not be negative, got {num_worst}")
        self.file = Path(out_dir, REPORT_NAME)
        require_new_file(self.file, "the report")
        self.num_worst = num_worst
        self._words: list[WordResult] = []
        self._indexes: Iterator[int] = iter(())

    def before_test_epoch(self, runner: Runner) -> None:
        """Start from scratch, with the indexes of the words that this process reads."""
        self._words.clear()
        self._indexes = chain.from_iterable(runner.test_dataloader.batch_sampler)

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: Sequence[TextRecogDataSample] | None = None,
    ) -> None:
        """Record the words of a batch."""
        self._words += map(_read_word, outputs or (), self._indexes)

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Write the page, on the main process."""
        parts = all_gather_object(self._words)
        if not is_main_process():
            return
        protocol = protocol_of(runner.test_evaluator.metrics) or ExactText()
        whole = ReadingStatistics(protocol=protocol, num_worst=self.num_worst)
        words = _once(chain.from_iterable(parts))
        if _benchmark_metrics(runner):  # they do not score such sets either
            words, whole.num_left_out = _comparable(words, whole.protocol)
        for word in words:
            whole.add(word)
        model = without_wrapper(runner.model)
        checkpoint = runner.cfg.get("load_from") or "random weights"
        page = render(
            Report(
                title=Path(checkpoint).name,
                facts={
                    "Checkpoint": checkpoint,
                    "Config": str(runner.cfg.filename or "not from a file"),
                    "Data": ", ".join(
                        folder.path for folder in read_folders(runner.cfg.test_dataloader)
                    ),
                    "Model": describe(model),
                    "Written": datetime.now(timezone.utc).strftime("%d %B %Y, %H:%M UTC"),
                },
                tables=_tables(runner, whole),
                statistics=whole,
                images=read_again(model, runner.test_dataloader, whole.worst, whole.protocol),
                metrics=_other_metrics(runner, metrics or {}),
            )
        )
        # Labels may hold anything; a lone surrogate cannot be encoded as UTF-8.
        content = page.encode("utf-8", errors="xmlcharrefreplace")
        write_file(self.file, content)
        runner.logger.info(f"The report is {self.file}")


def _once(words: Iterable[WordResult]) -> list[WordResult]:
    """Return each word once, in dataset order; samplers repeat some to fill all processes."""
    by_index = {word.index: word for word in words}
    return [by_index[index] for index in sorted(by_index)]


def _comparable(
    words: Sequence[WordResult], protocol: TextProtocol
) -> tuple[list[WordResult], int]:
    """Leave out the sets in which no label has a character that counts; count their words."""
    sets = {word.set_name for word in words if protocol.reduce(word.label)}
    kept = [word for word in words if word.set_name in sets]
    return kept, len(words) - len(kept)


def _read_word(sample: TextRecogDataSample, index: int) -> WordResult:
    key = sample_name(sample)
    if "gt_text" not in sample:
        raise ValueError(
            f"{key or 'a word'} has no label (gt_text), which a report needs; add "
            "dict(type='LoadOCRAnnotations', with_text=True) to the pipeline"
        )
    prediction = sample.pred_text
    confidence = prediction.get("word_score")
    return WordResult(
        index=index,
        key=key,
        label=sample.gt_text.item,
        text=prediction.item,
        confidence=None if confidence is None else float(confidence),
        character_scores=tuple(map(float, prediction.get("score", ()))),
        set_name=sample.get("benchmark_set") or "",
        bad_sample=bool(sample.get("bad_sample")),
    )


def _benchmark_metrics(runner: Runner) -> list[BenchmarkMetric]:
    return [each for each in runner.test_evaluator.metrics if isinstance(each, BenchmarkMetric)]


def _tables(runner: Runner, statistics: ReadingStatistics) -> list[Table]:
    reports = [metric.report for metric in _benchmark_metrics(runner) if metric.report is not None]
    if reports:
        return [Table(protocol=report.protocol, rows=report.rows) for report in reports]
    rows = [row_of_set("all words", statistics.score)]
    return [Table(protocol=statistics.protocol, rows=rows)]


def _other_metrics(runner: Runner, metrics: Mapping[str, float]) -> dict[str, float]:
    """Return the values that are in no table, those of metrics other than BenchmarkMetric."""
    tabled: set[str] = set()
    for metric in _benchmark_metrics(runner):
        names = ("accuracy", "one_minus_ned")
        if metric.report is not None:
            names = metric.report.to_metrics()
        tabled.update(f"{metric.prefix}/{name}" for name in names)
    return {name: value for name, value in metrics.items() if name not in tabled}
