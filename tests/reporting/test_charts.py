"""Tests of the charts of a report."""

from __future__ import annotations

import random
import re
import warnings
from xml.etree import ElementTree

from lpv_mmocr.reporting import charts
from lpv_mmocr.reporting.calibration import Tally

import pytest
from report_cases import gather, words


def texts(svg: str) -> list[str]:
    """Return the texts of a chart, which must be a well-formed SVG element."""
    root = ElementTree.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    return ["".join(node.itertext()) for node in root.iter() if node.tag.endswith("}text")]


@pytest.fixture(scope="module")
def statistics():
    return gather(words(300))


def test_length_chart_has_its_labels(statistics):
    found = texts(charts.length_chart(statistics.by_length))
    assert {"word accuracy", "words", "characters in the label"} <= set(found)


def test_characters_of_any_kind_stay_text():
    tallies = {character: Tally(3, 1) for character in "<&$_^\\漢ش\u0301 \x00"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = texts(charts.character_chart(tallies))
    assert {"<", "&", "$", "_", "^", "\\", "漢", "ش", "◌\u0301", "␣", "U+0000"} <= set(found)


def test_character_chart_is_limited_to_the_most_errors():
    tallies = {chr(0x4E00 + number): Tally(100, 100 - number) for number in range(60)}
    shown = list(tallies.items())
    random.Random(0).shuffle(shown)
    found = [text for text in texts(charts.character_chart(dict(shown))) if text in tallies]
    # The worst first: 59 errors, 58, ...
    assert found == [chr(0x4E00 + 59 - n) for n in range(charts.MAX_CHARACTERS)]


def test_reliability_diagram_has_the_counts(statistics):
    found = texts(charts.reliability_diagram(statistics.calibration))
    counts = [f"{each.count:,}" for each in statistics.calibration.bins]
    assert [text for text in found if text in counts][-len(counts) :] == counts
    assert {"perfect", "measured", "confidence"} <= set(found)


def test_intervals_are_wilsons():
    """9 of 10, with z = 1.96: Wilson's interval is 0.5958 to 0.9821."""
    ((below,), (above,)) = charts._interval([Tally(10, 9)])
    assert (0.9 - below, 0.9 + above) == pytest.approx((0.5958, 0.9821), abs=1e-4)
    assert charts._interval([Tally(4, 4)])[1] == [0]


def test_columns_of_the_reliability_diagram_stand_in_their_bins(statistics, monkeypatch):
    monkeypatch.setattr(charts, "_svg", lambda figure, name: figure)
    _, lower = charts.reliability_diagram(statistics.calibration).axes
    centres = [column.get_x() + column.get_width() / 2 for column in lower.patches]
    assert centres == pytest.approx([0.05 + 0.1 * place for place in range(10)])
    counts = [each.count for each in statistics.calibration.bins]
    assert [column.get_height() for column in lower.patches] == counts


def test_one_word_is_enough():
    statistics = gather(words(1))
    for svg in (
        charts.length_chart(statistics.by_length),
        charts.character_chart(statistics.by_character),
        charts.reliability_diagram(statistics.calibration),
    ):
        assert texts(svg)


def test_charts_on_one_page_share_no_ids(statistics):
    svgs = (
        charts.length_chart(statistics.by_length),
        charts.reliability_diagram(statistics.calibration),
    )
    first, second = (set(re.findall(r'\sid="([^"]+)"', svg)) for svg in svgs)
    assert first and second
    assert not first & second
    for svg, ids in zip(svgs, (first, second), strict=True):
        assert set(re.findall(r"""(?:url\(|href=")#([^")]+)""", svg)) <= ids


def test_same_words_give_the_same_chart(statistics):
    assert charts.length_chart(statistics.by_length) == charts.length_chart(statistics.by_length)
