"""Word accuracy and edit distance over one or several sets."""

from __future__ import annotations

import logging
import math
import os
import sys
from collections.abc import Sequence
from typing import Any

from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmocr.registry import METRICS

from ..sample_names import sample_name
from .report import BenchmarkReport
from .scores import WordScore, mean_score, score_sets
from .text_protocol import TextProtocol

_SINGLE_SET = "words"  # set name for samples that name no set


@METRICS.register_module()
class BenchmarkMetric(BaseMetric):
    """Word accuracy and edit distance, per set and averaged over the published groups of sets.

    Over a :class:`BenchmarkDataset` it returns ``recog/SVT/accuracy``, ``recog/six/accuracy``,
    ``recog/six/weighted_accuracy`` and so on; a mean is omitted unless all of its sets are present.
    Over any other dataset it returns ``recog/accuracy`` and ``recog/one_minus_ned``, which
    ``save_best`` can name in training; they are NaN if no label has a character that counts.
    Values are fractions and not rounded.

    Each sample counts once, identified by its set and its name, so that samples repeated by a
    sampler to fill the last batch of every process change nothing. A sample marked ``bad_sample``
    is wrong, whatever was read.

    Args:
        case_sensitive: Whether to compare 94 characters as they are, instead of 36 without case;
            see :class:`TextProtocol`.
        collect_device: How processes exchange results: over their connection (``"gpu"``, which
            requires no GPU), or through files (``"cpu"``); by default the former, unless
            ``collect_dir`` is given.
        prefix: Prefix of the metric names.
        collect_dir: Folder, visible to all processes, in which a temporary one holds the files; by
            default that is in the current folder.

    Attributes:
        report: The :class:`BenchmarkReport` of the last evaluation over a
            :class:`BenchmarkDataset`, on the main process; otherwise None.
    """

    default_prefix = "recog"

    def __init__(
        self,
        *,
        case_sensitive: bool = False,
        collect_device: str | None = None,
        prefix: str | None = None,
        collect_dir: str | None = None,
    ) -> None:
        if collect_device is None:
            collect_device = "gpu" if collect_dir is None else "cpu"
        if collect_dir is not None:  # MMEngine deletes the folder with all that is in it
            collect_dir = os.path.join(collect_dir, ".lpv-results")
        super().__init__(collect_device=collect_device, prefix=prefix, collect_dir=collect_dir)
        self.protocol = TextProtocol(case_sensitive=case_sensitive)
        self.report: BenchmarkReport | None = None
        self._size: int | None = None
        self._warned = False

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Score the words of a batch.

        Args:
            data_batch: Not used.
            data_samples: For each word, ``gt_text.item``, ``pred_text.item`` and its meta
                information: ``sample_key`` or ``img_path``, and, if there are any,
                ``benchmark_set`` and ``bad_sample``.

        Raises:
            ValueError: If a word has no label or no name.
        """
        self.results.extend(self._score(sample) for sample in data_samples)

    def _score(self, sample: dict) -> WordScore:
        key = sample_name(sample)
        if not key:
            raise ValueError(
                "A sample has neither sample_key nor img_path to identify it; the pipeline must "
                "pack one of them (MMOCR's RecogLMDBDataset has neither: use LPVLMDBDataset)"
            )
        if "gt_text" not in sample:
            raise ValueError(
                f"{key} has no label (gt_text); the pipeline needs "
                "dict(type='LoadOCRAnnotations', with_text=True)"
            )
        label, reading = sample["gt_text"]["item"], sample["pred_text"]["item"]
        reduced = self.protocol.reduce(label)
        bad = bool(sample.get("bad_sample"))
        return WordScore(
            set_name=sample.get("benchmark_set") or _SINGLE_SET,
            key=key,
            # Folders of the same name contain the same keys.
            path=str(sample.get("img_path") or ""),
            correct=not bad and self.protocol.reduce(reading) == reduced,
            similarity=0.0 if bad else self.protocol.similarity(label, reading),
            bad_sample=bad,
            empty_label=not reduced,
        )

    def evaluate(self, size: int) -> dict[str, float]:
        """Gather the words of all processes and score them.

        Args:
            size: Number of samples in the dataset.

        Returns:
            Metric values by name.

        Raises:
            ValueError: See :meth:`compute_metrics`.
        """
        self._size = size
        # BaseMetric would truncate the results to `size`, which drops repeated samples only if the
        # sampler deals samples out in turns. Here, they are recognised by name.
        return super().evaluate(sys.maxsize)

    def compute_metrics(self, results: Sequence[WordScore]) -> dict[str, float]:
        """Score words, some of which may occur more than once.

        Args:
            results: The words of all processes.

        Raises:
            ValueError: If some samples were not evaluated, or their names are not unique.
        """
        words = {(word.set_name, word.key, word.path): word for word in results}
        if self._size is not None and len(words) > self._size:
            # Repeated words have different paths if machines store the data in different places.
            # Folders of the same name alone never give too many words.
            words = {(word.set_name, word.key): word for word in results}
        if self._size not in (None, len(words)):
            raise ValueError(
                f"The dataset has {self._size} samples, but {len(words)} different ones were "
                "evaluated: either some were left out, or their names (sample_key or img_path) "
                "are not unique"
            )
        self._warn_of_empty_labels(list(words.values()))
        scores = score_sets(list(words.values()))
        sets = (self.dataset_meta or {}).get("benchmark_sets")
        if sets is None:
            self.report = None
            if scores and not any(score.is_comparable for score in scores.values()):
                return dict.fromkeys(("accuracy", "one_minus_ned"), math.nan)
            whole = mean_score(scores, list(scores))
            return {
                "accuracy": whole.weighted_accuracy,
                "one_minus_ned": whole.weighted_one_minus_ned,
            }
        self.report = BenchmarkReport(
            protocol=self.protocol,
            scores={name: scores[name] for name in sets},
            absent=self.dataset_meta["absent_benchmark_sets"],
        )
        return self.report.to_metrics()

    def _warn_of_empty_labels(self, words: Sequence[WordScore]) -> None:
        """Warn once of labels without a character that counts."""
        empty = sum(word.empty_label and not word.bad_sample for word in words)
        if empty and not self._warned:
            print_log(
                f"{empty} of {len(words)} labels have none of the characters that are compared "
                f"({self.protocol.name}), so only an empty reading is correct; for other "
                "characters, use MMOCR's WordMetric(mode='exact')",
                logger="current",
                level=logging.WARNING,
            )
            self._warned = True
