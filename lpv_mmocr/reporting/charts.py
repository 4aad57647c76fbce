"""Charts of a report, as SVG that inherits text colour and fonts from the page around it."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Mapping, Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter, StrMethodFormatter
from scipy.stats import binomtest

from ..visible_text import single
from .calibration import Calibration, Tally, most_misread

MAX_CHARACTERS = 36
"""Maximum number of columns that can be told apart on a phone."""

# Colours that are visible on white as well as on black.
_BAR = "#3b82c4"
_LINE = "#d9622b"
_GREY = "#8a8a8a"
_SIZE = (4.8, 3.4)  # inches; small, so that the text stays legible when a phone shrinks it


def length_chart(by_length: Mapping[int, Tally]) -> str:
    """Plot accuracy and number of words by label length.

    Args:
        by_length: Counts of words by label length, at least one length.

    Returns:
        An SVG element.
    """
    lengths = sorted(by_length)
    tallies = [by_length[length] for length in lengths]
    figure, upper, lower = _two_panels()
    _accuracy_bars(upper, lengths, tallies)
    upper.set_ylabel("word accuracy")
    lower.bar(lengths, [tally.count for tally in tallies], color=_GREY)
    lower.set_ylabel("words")
    lower.set_xlabel("characters in the label")
    lower.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    return _svg(figure, "length")


def character_chart(by_character: Mapping[str, Tally]) -> str:
    """Plot accuracy by character, worst first; if too many, only those with the most errors.

    Args:
        by_character: Counts by character, at least one character.

    Returns:
        An SVG element.
    """
    shown = most_misread(by_character, MAX_CHARACTERS)
    figure, upper, lower = _two_panels()
    places = range(len(shown))
    _accuracy_bars(upper, places, [tally for _, tally in shown])
    upper.set_ylabel("character accuracy")
    lower.bar(places, [tally.count for _, tally in shown], color=_GREY)
    lower.set_ylabel("occurrences")
    lower.set_xticks(places, [single(character) for character, _ in shown])
    for label in lower.get_xticklabels():
        if len(label.get_text()) > 2:  # a code point
            label.set(rotation=90, fontsize=7)
    return _svg(figure, "characters")


def reliability_diagram(calibration: Calibration) -> str:
    """Plot accuracy against confidence, above a histogram of the confidence with its counts.

    Args:
        calibration: Calibration of at least one word.

    Returns:
        An SVG element.
    """
    bins = calibration.bins
    width = 1 / len(bins)
    full = [each for each in bins if each.count]
    figure, upper, lower = _two_panels()
    upper.plot([0, 1], [0, 1], "--", color=_GREY, label="perfect")
    confidences = [each.confidence for each in full]
    accuracies = [each.accuracy for each in full]
    upper.errorbar(
        confidences,
        accuracies,
        _interval(full),
        fmt="o-",
        color=_LINE,
        markersize=5,
        capsize=2,
        label="measured",
        clip_on=False,
    )
    upper.set_ylim(0, 1.04)
    upper.yaxis.set_major_formatter(PercentFormatter(1))
    upper.set_ylabel("word accuracy")
    upper.legend(frameon=False, loc="upper left")
    centres = [(place + 0.5) * width for place in range(len(bins))]
    columns = lower.bar(centres, [each.count for each in bins], 0.92 * width, color=_BAR)
    # Counts on the columns: next to a tall one, small ones are invisible.
    lower.bar_label(columns, [f"{each.count:,}" for each in bins], fontsize=7, padding=1)
    lower.margins(y=0.25)
    lower.set_xlim(0, 1)
    lower.set_xticks([place / 5 for place in range(6)])
    lower.xaxis.set_major_formatter(PercentFormatter(1))
    lower.set_xlabel("confidence")
    lower.set_ylabel("words")
    return _svg(figure, "reliability")


def _two_panels() -> tuple[Figure, Axes, Axes]:
    figure = Figure(figsize=_SIZE, layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    for axes in (upper, lower):
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["bottom", "left"]].set_color(_GREY)
        axes.tick_params(color=_GREY, labelsize=9)
        axes.patch.set_visible(False)
        axes.set_axisbelow(True)
    upper.tick_params(axis="x", length=0)
    lower.yaxis.set_major_locator(MaxNLocator(2, integer=True))
    lower.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    upper.grid(axis="y", color=_GREY, alpha=0.35, linewidth=0.6)
    figure.align_ylabels()
    return figure, upper, lower


def _accuracy_bars(axes: Axes, places: Sequence[float], tallies: Sequence[Tally]) -> None:
    axes.bar(
        places,
        [tally.accuracy for tally in tallies],
        color=_BAR,
        yerr=_interval(tallies),
        error_kw=dict(ecolor=_GREY, elinewidth=1, capsize=1.5),
    )
    axes.set_ylim(0, 1.04)
    axes.yaxis.set_major_formatter(PercentFormatter(1))


def _interval(tallies: Sequence[Tally]) -> list[list[float]]:
    """Return how far the 95 % Wilson intervals reach below and above the accuracies."""
    below, above = [], []
    for tally in tallies:
        interval = binomtest(tally.correct, tally.count).proportion_ci(method="wilson")
        below.append(max(tally.accuracy - interval.low, 0.0))
        above.append(max(interval.high - tally.accuracy, 0.0))
    return [below, above]


def _svg(figure: Figure, name: str) -> str:
    """Return the figure as an SVG element for HTML."""
    options = {
        "svg.fonttype": "none",  # the browser has fonts for scripts that matplotlib's lacks
        "svg.hashsalt": name,  # gives each chart of a page different ids
    }
    file = io.StringIO()
    with matplotlib.rc_context(options), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        # The page shows the metadata already, and its date would differ in every run.
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(file, format="svg", transparent=True, metadata=nothing)
    document = file.getvalue()
    # Group ids are the same in every chart, and nothing refers to them.
    return re.sub(r'<g id="[^"]*"', "<g", document[document.index("<svg") :])
