"""The report as a single self-contained HTML file."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import jinja2
import numpy as np
import torch
from markupsafe import Markup
from PIL import Image

from .. import __version__
from ..evaluation import TextProtocol
from ..evaluation.score_table import Row
from ..visible_text import single, visible
from . import charts
from .calibration import most_misread
from .reread import WordImages
from .statistics import MISSING, ReadingStatistics, WordResult
from .text_display import Run, character_name, compare

_NUM_CONFUSIONS = 20
_MATRIX_SIZE = 16
_NUM_CHARACTERS = 500  # maximum of table rows; some scripts have tens of thousands of characters


@dataclass(frozen=True, kw_only=True)
class Table:
    """Scores under one protocol.

    Attributes:
        protocol: The protocol.
        rows: Sets and means.
    """

    protocol: TextProtocol
    rows: Sequence[Row]


@dataclass(frozen=True, kw_only=True)
class Report:
    """Content of the page.

    Attributes:
        title: Short name of what was tested.
        facts: Config, checkpoint, date and the like, by name.
        tables: Scores of the sets; the first is under the protocol of the statistics.
        statistics: Statistics over all words.
        images: Images of the words in ``statistics.worst``.
        metrics: Metrics that are not in the tables, by name.
    """

    title: str
    facts: Mapping[str, str]
    tables: Sequence[Table]
    statistics: ReadingStatistics
    images: Sequence[WordImages] = ()
    metrics: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class _Error:
    """A misread word, prepared for the template."""

    word: WordResult
    label: list[Run]
    text: list[Run]
    compared: tuple[str, str] | None
    weakest: str
    images: WordImages


def render(report: Report) -> str:
    """Render the page.

    Args:
        report: Content of the page.

    Returns:
        Self-contained HTML with style, charts and images.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("lpv_mmocr.reporting"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=lambda fraction: f"{100 * fraction:.2f}",
        thousands=lambda number: f"{number:,}",
        visible=visible,
        single=lambda character: single(character) if character != MISSING else "∅",
        character_name=character_name,
        data_uri=_data_uri,
    )
    return environment.get_template("report.html.jinja").render(
        report=report,
        statistics=report.statistics,
        versions={"lpv-mmocr": __version__, "PyTorch": torch.__version__},
        charts=_charts(report.statistics),
        matrix=_confusion_matrix(report.statistics),
        # The order must not depend on which process read a word.
        confusions=sorted(
            report.statistics.confusions.items(), key=lambda item: (-item[1], item[0])
        )[:_NUM_CONFUSIONS],
        characters=most_misread(report.statistics.by_character, _NUM_CHARACTERS),
        errors=_errors(report),
        with_attention=any(images.attention is not None for images in report.images),
        MISSING=MISSING,
        MAX_CHARACTERS=charts.MAX_CHARACTERS,
    )


def _charts(statistics: ReadingStatistics) -> dict[str, Markup]:
    # matplotlib escapes its output.
    drawn = {}
    if statistics.by_length:
        drawn["length"] = Markup(charts.length_chart(statistics.by_length))
    if statistics.by_character:
        drawn["characters"] = Markup(charts.character_chart(statistics.by_character))
    if statistics.calibration.total.count:
        drawn["reliability"] = Markup(charts.reliability_diagram(statistics.calibration))
    return drawn


def _confusion_matrix(statistics: ReadingStatistics) -> dict:
    """Return the confusion matrix of the characters that are confused most often."""
    involved: dict[str, int] = {}
    for pair, count in statistics.confusions.items():
        for character in pair:
            involved[character] = involved.get(character, 0) + count
    involved.pop(MISSING, None)
    chosen = sorted(involved, key=lambda character: (-involved[character], character))
    characters = [*sorted(chosen[:_MATRIX_SIZE]), MISSING]
    rows = [
        (true, [statistics.confusions.get((true, read), 0) for read in characters])
        for true in characters
    ]
    return {
        "characters": characters,
        "rows": rows,
        "highest": max((count for _, counts in rows for count in counts), default=0),
        "complete": len(chosen) <= _MATRIX_SIZE,
    }


def _errors(report: Report) -> list[_Error]:
    protocol = report.statistics.protocol
    errors = []
    for word, images in zip(report.statistics.worst, report.images, strict=True):
        runs = compare(word.label, word.text, protocol)
        compared = (protocol.reduce(word.label), protocol.reduce(word.text))
        if compared in ((word.label, word.text), (word.label.lower(), word.text.lower())):
            compared = None  # obvious
        weakest = ""
        if word.text and len(word.text) == len(word.character_scores):
            score, character = min(zip(word.character_scores, word.text, strict=True))
            weakest = f"{single(character)} {100 * score:.1f}\N{NO-BREAK SPACE}%"
        errors.append(_Error(word, *runs, compared, weakest, images))
    return errors


def _data_uri(image: np.ndarray, quality: int = 100) -> str:
    """Encode an image (H, W, 3), RGB, uint8, as a data URI; lossless at quality 100."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, format="WEBP", quality=quality, lossless=quality == 100)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"
