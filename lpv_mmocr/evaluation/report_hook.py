"""Hook that prints and saves the reports of a test."""

from __future__ import annotations

import json
from pathlib import Path

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmocr.registry import HOOKS

from ..atomic_files import write_file
from .benchmark_metric import BenchmarkMetric
from .tested_model import describe, variant_of


@HOOKS.register_module()
class BenchmarkReportHook(Hook):
    """Hook that prints the table of a benchmark test and saves it in the work folder.

    The files are ``CHECKPOINT_benchmark_PROTOCOL.md``, the table, and the same with ``.json``,
    which adds the config, the checkpoint, a description of the model, and all that the table leaves
    out. ``CHECKPOINT`` is followed by ``_tta``, ``_deployed-bf16`` (or another float type), or
    both, if the model was tested that way. Without a :class:`BenchmarkMetric` over a
    :class:`BenchmarkDataset`, the hook does nothing.
    """

    @master_only
    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Print and save the report of every benchmark metric."""
        checkpoint = runner.cfg.get("load_from")
        for metric in runner.test_evaluator.metrics:
            if not isinstance(metric, BenchmarkMetric) or metric.report is None:
                continue
            report = metric.report
            table = report.to_markdown()
            tested = f"{Path(checkpoint or 'random').stem}{variant_of(runner.model)}"
            stem = Path(runner.work_dir, f"{tested}_benchmark_{report.protocol.name}")
            details = {
                "config": runner.cfg.filename,
                "checkpoint": checkpoint,
                "model": describe(runner.model),
                **report.to_dict(),
            }
            # Not with_suffix: checkpoint names may contain dots.
            write_file(f"{stem}.md", table)
            write_file(f"{stem}.json", json.dumps(details, indent=2, ensure_ascii=False) + "\n")
            runner.logger.info(f"Benchmark, saved as {stem}.md and .json\n\n{table}")
