"""Word accuracy and edit distance over one or several sets."""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Sequence
from typing import Any

from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmocr.registry import METRICS

from ..engine.prediction_hooks import sample_name
from .report import BenchmarkReport
from .scores import WordScore, mean_score, score_sets
from .text_protocol import TextProtocol

_SINGLE_SET = "words"  # name of the set where samples name none


@METRICS.register_module()
class BenchmarkMetric(BaseMetric):
    """Accuracy of words, each set for itself and as means over the published groups of sets.

    Over a :class:`BenchmarkDataset` it gives ``recog/SVT/accuracy``, ``recog/six/accuracy``,
    ``recog/six/weighted_accuracy`` and so on; a mean whose sets are not all there is not given.
    Over any other data set it gives ``recog/accuracy`` and ``recog/one_minus_ned``, which
    ``save_best`` of a training can name; they are NaN where no label has a character that counts.
    Numbers are fractions and not rounded.

    Each sample counts once, told apart by its set and its name, so that what a sampler repeats to
    fill the last batch of every process changes nothing. A sample marked ``bad_sample`` is wrong,
    whatever was read.

    Args:
        case_sensitive: Compare 94 characters as they are, instead of 36 without case; see
            :class:`TextProtocol`.
        collect_device: How processes exchange results: over their connection (``"gpu"``, which
            need not have one), or through files (``"cpu"``); by default the first, unless
            ``collect_dir`` says where files go.
        prefix: What the names of the numbers begin with.
        collect_dir: Folder for the files, seen by all processes; by default one in the current
            folder.

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
        super().__init__(collect_device=collect_device, prefix=prefix, collect_dir=collect_dir)
        self.protocol = TextProtocol(case_sensitive=case_sensitive)
        self.report: BenchmarkReport | None = None
        self._size: int | None = None
        self._warned = False

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Score the words of a batch.

        Args:
            data_batch: Not used.
            data_samples: For each word ``gt_text.item``, ``pred_text.item`` and its meta
                information: ``sample_key`` or ``img_path``, ``benchmark_set`` and ``bad_sample``
                where there are such.

        Raises:
            ValueError: If a word has no label or no name.
        """
        self.results.extend(self._score(sample) for sample in data_samples)

    def _score(self, sample: dict) -> WordScore:
        key = sample_name(sample)
        if not key:
            raise ValueError(
                "A sample has neither sample_key nor img_path to tell it from others; the pipeline "
                "must pack one of them"
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
            # Two folders of the same name have the same keys.
            path=str(sample.get("img_path") or ""),
            correct=not bad and self.protocol.reduce(reading) == reduced,
            similarity=0.0 if bad else self.protocol.similarity(label, reading),
            bad_sample=bad,
            empty_label=not reduced,
        )

    def evaluate(self, size: int) -> dict[str, float]:
        """Gather the words of all processes and score them.

        Args:
            size: Number of samples of the data set.

        Returns:
            The numbers, by name.

        Raises:
            ValueError: See :meth:`compute_metrics`.
        """
        self._size = size
        # BaseMetric would cut what is more than `size` off the end, which drops repeated samples
        # only where the sampler deals samples out in turns. Here their names tell.
        return super().evaluate(sys.maxsize)

    def compute_metrics(self, results: Sequence[WordScore]) -> dict[str, float]:
        """Score words, of which some may come more than once.

        Args:
            results: The words of all processes.

        Raises:
            ValueError: If some samples were not evaluated, or share their names.
        """
        words = {(word.set_name, word.key, word.path): word for word in results}
        if self._size is not None and len(words) > self._size:
            # Machines may have the data in different places; two folders of one name do not.
            words = {(word.set_name, word.key): word for word in results}
        if self._size not in (None, len(words)):
            raise ValueError(
                f"The data set has {self._size} samples, but {len(words)} different ones were "
                "evaluated: either some were left out, or their names (sample_key or img_path) "
                "are not unique"
            )
        nothing_counts = self._warn_of_empty_labels(list(words.values()))
        scores = score_sets(list(words.values()))
        sets = (self.dataset_meta or {}).get("benchmark_sets")
        if sets is None:
            self.report = None
            if nothing_counts:
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

    def _warn_of_empty_labels(self, words: Sequence[WordScore]) -> bool:
        """Say, once, how many labels have nothing that is compared; tell whether all are such.

        Words of other scripts are equal to whatever else has no character that counts.
        """
        empty = sum(word.empty_label for word in words)
        if empty and not self._warned:
            print_log(
                f"{empty} of {len(words)} labels have none of the characters that are compared "
                f"({self.protocol.name}), so that only an empty reading is right: for other "
                "characters use MMOCR's WordMetric(mode='exact')",
                logger="current",
                level=logging.WARNING,
            )
            self._warned = True
        return 0 < empty == len(words)
