"""Hook that reports labels which the model cannot read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from mmengine.dist import all_gather_object
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmocr.evaluation import WordMetric
from mmocr.registry import HOOKS
from mmocr.structures import TextRecogDataSample

from ..engine.distributed import inner_model
from ..visible_text import listed


@HOOKS.register_module()
class UnreadableLabelsHook(Hook):
    """Hook that logs how many labels of a test or validation no reading of the model can equal.

    Such labels have characters that the dictionary lacks, or too many characters. They count as
    wrong in an exact comparison, that of MMOCR's ``WordMetric`` with the mode ``exact``; without
    one, the hook does nothing. In training, the labels are counted in the first validation. A word
    that a sampler repeats to fill all processes is counted again.
    """

    priority = "LOW"

    def __init__(self) -> None:
        self._counting = self._validated = False
        self._reset()

    def before_val_epoch(self, runner: Runner) -> None:
        """Count in the first validation."""
        self._counting = not self._validated and _is_exact(runner.val_evaluator.metrics)
        self._validated = True
        self._reset()

    def before_test_epoch(self, runner: Runner) -> None:
        """Begin to count."""
        self._counting = _is_exact(runner.test_evaluator.metrics)
        self._reset()

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: Sequence[TextRecogDataSample] | None = None,
    ) -> None:
        """Count the labels of a batch."""
        if not self._counting:
            return
        decoder = getattr(inner_model(runner.model), "decoder", None)
        dictionary = getattr(decoder, "dictionary", None)
        if dictionary is None:
            return
        known, longest = set(dictionary.dict), getattr(decoder, "max_seq_len", None)
        for sample in outputs or ():
            label = sample.gt_text.item
            unknown = set(label) - known
            self._counts["labels"] += 1
            self._counts["unknown"] += bool(unknown)
            self._counts["long"] += not unknown and longest is not None and len(label) > longest
            self._characters.update(unknown)

    after_test_iter = after_val_iter

    def after_val_epoch(self, runner: Runner, metrics: Mapping[str, float] | None = None) -> None:
        """Log the counts."""
        if not self._counting:
            return
        counts, characters = Counter(), Counter()
        for part in all_gather_object((self._counts, self._characters)):
            counts.update(part[0])
            characters.update(part[1])
        reasons = []
        if counts["unknown"]:
            # In the same order on every run.
            most = sorted(characters, key=lambda each: (-characters[each], each))
            reasons.append(
                f"{counts['unknown']} have characters that it does not know, most often "
                f"{listed(most)}"
            )
        if counts["long"]:
            longest = inner_model(runner.model).decoder.max_seq_len
            reasons.append(f"{counts['long']} have more than {longest} characters")
        if reasons:
            runner.logger.warning(
                f"{counts['unknown'] + counts['long']} of {counts['labels']} labels cannot be read "
                f"by this model and are wrong in an exact comparison: {', '.join(reasons)}"
            )

    after_test_epoch = after_val_epoch

    def _reset(self) -> None:
        self._counts: Counter[str] = Counter()
        self._characters: Counter[str] = Counter()


def _is_exact(metrics: Sequence[BaseMetric]) -> bool:
    return any(isinstance(metric, WordMetric) and "exact" in metric.mode for metric in metrics)
