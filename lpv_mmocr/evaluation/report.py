"""Report of an evaluation: means, table and remarks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ..markdown_table import markdown_table
from .benchmark_sets import PRESENT, SET_GROUPS
from .score_table import Row, row_of_set
from .scores import MeanScore, SetScore, mean_score
from .text_protocol import TextProtocol

_HEADER = ("set", "words", "correct", "accuracy %", "1-NED %", "remarks")
_NAMED_BAD_SAMPLES = 20  # of each set in the table; JSON has them all


@dataclass(frozen=True, kw_only=True)
class BenchmarkReport:
    """Scores of all evaluated sets, and the requested sets that were absent.

    A mean over the six or the eight exists only if all of its sets do. If sets are missing or
    others were added, there is also a mean over the present sets, under the name ``present``. Sets
    whose labels have no character that is compared count as missing.

    Attributes:
        protocol: Protocol that the scores follow.
        scores: Scores of the sets, by set name.
        absent: Reason why a requested set is missing, by set name.
    """

    protocol: TextProtocol
    scores: Mapping[str, SetScore]
    absent: Mapping[str, str] = field(default_factory=dict)

    @property
    def missing(self) -> dict[str, tuple[str, ...]]:
        """Sets without a score, for each group whose mean cannot be computed."""
        gaps = {
            group: tuple(name for name in names if name not in self._comparable)
            for group, names in SET_GROUPS.items()
        }
        return {group: names for group, names in gaps.items() if names}

    @property
    def means(self) -> dict[str, MeanScore]:
        """Means that can be computed: ``six``, ``eight`` or ``present``."""
        groups = {g: names for g, names in SET_GROUPS.items() if g not in self.missing}
        present = tuple(self._comparable)
        if present and all(set(names) != set(present) for names in groups.values()):
            groups[PRESENT] = present
        return {group: mean_score(self.scores, names) for group, names in groups.items()}

    @property
    def _comparable(self) -> dict[str, SetScore]:
        return {name: score for name, score in self.scores.items() if score.is_comparable}

    def to_metrics(self) -> dict[str, float]:
        """Return all scores and means by name, as fractions, not rounded.

        The scores of a set whose labels have no character that is compared are NaN.
        """
        metrics = {}
        for name, score in self.scores.items():
            metrics[f"{name}/accuracy"] = score.accuracy
            metrics[f"{name}/one_minus_ned"] = score.one_minus_ned
        for group, mean in self.means.items():
            metrics[f"{group}/accuracy"] = mean.accuracy
            metrics[f"{group}/weighted_accuracy"] = mean.weighted_accuracy
            metrics[f"{group}/one_minus_ned"] = mean.one_minus_ned
            metrics[f"{group}/weighted_one_minus_ned"] = mean.weighted_one_minus_ned
        return metrics

    def to_dict(self) -> dict[str, Any]:
        """Return the complete report as JSON data; what cannot be computed is null."""
        return {
            "protocol": self.protocol.name,
            "sets": {
                name: {
                    "count": score.count,
                    "expected_count": score.expected_count,
                    "correct": score.correct,
                    "accuracy": _null_if_nan(score.accuracy),
                    "one_minus_ned": _null_if_nan(score.one_minus_ned),
                    "empty_labels": score.empty_labels,
                    "bad_samples": list(score.bad_samples),
                }
                for name, score in self.scores.items()
            },
            "absent": dict(self.absent),
            "means": {
                **dict.fromkeys(SET_GROUPS),
                **{group: asdict(mean) for group, mean in self.means.items()},
            },
        }

    @property
    def rows(self) -> list[Row]:
        """Rows of the table: evaluated sets, absent sets, and means.

        For means that cannot be computed, the remarks give the reason.
        """
        rows = [row_of_set(name, score) for name, score in self.scores.items()]
        rows += [Row(name=name, remarks=f"ABSENT: {why}") for name, why in self.absent.items()]
        for group, mean in self.means.items():
            name = f"the {len(mean.sets)} present" if group == PRESENT else group
            common = dict(count=mean.count, remarks=self._mean_remark(group, mean), is_mean=True)
            rows += [
                Row(
                    name=f"mean of {name}",
                    accuracy=mean.accuracy,
                    one_minus_ned=mean.one_minus_ned,
                    **common,
                ),
                Row(
                    name=f"weighted mean of {name}",
                    accuracy=mean.weighted_accuracy,
                    one_minus_ned=mean.weighted_one_minus_ned,
                    **common,
                ),
            ]
        for group, names in self.missing.items():
            why = f"not computed: no {', '.join(names)}"
            rows.append(Row(name=f"mean of {group}", remarks=why, is_mean=True))
        return rows

    def to_markdown(self) -> str:
        """Return the report as a table and remarks, aligned for terminals, too."""
        rows = [
            (
                row.name,
                "" if row.count is None else str(row.count),
                "" if row.correct is None else str(row.correct),
                _percent(row.accuracy),
                _percent(row.one_minus_ned),
                row.remarks,
            )
            for row in self.rows
        ]
        table = markdown_table(_HEADER, rows, left=("set", "remarks"))
        lines = [f"Protocol: {self.protocol.name}", "", *table]
        for name, score in self.scores.items():
            if score.bad_samples:
                shown = ", ".join(score.bad_samples[:_NAMED_BAD_SAMPLES])
                more = len(score.bad_samples) - _NAMED_BAD_SAMPLES
                lines += ["", f"Bad samples of {name}: {shown}" + f" and {more} more" * (more > 0)]
        return "\n".join(lines) + "\n"

    def _mean_remark(self, group: str, mean: MeanScore) -> str:
        """Return the remark on a mean: its sets if they vary, and unexpected counts."""
        wrong = [name for name in mean.sets if not self.scores[name].has_expected_count]
        remarks = [", ".join(mean.sets)] if group == PRESENT else []
        if wrong:
            remarks.append(f"COUNT: see {', '.join(wrong)}")
        return "; ".join(remarks)


def _null_if_nan(number: float) -> float | None:
    return None if math.isnan(number) else number


def _percent(fraction: float | None) -> str:
    return "" if fraction is None else f"{100 * fraction:.2f}"
