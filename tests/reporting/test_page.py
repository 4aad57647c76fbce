"""Tests of the HTML of the page: complete, escaped, explicit about missing data."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser

from lpv_mmocr.evaluation import BenchmarkReport, SetScore, TextProtocol
from lpv_mmocr.evaluation.text_protocol import ExactText
from lpv_mmocr.reporting import Report, Table, render
from lpv_mmocr.reporting.reread import WordImages

import numpy as np
import pytest
from PIL import Image
from report_cases import AWKWARD_WORDS, SCRIPT, awkward_report, gather, report, words


class Page(HTMLParser):
    """Parsed page: tags with their attributes, and all text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data.replace("\N{NO-BREAK SPACE}", " ")

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def awkward() -> str:
    return render(awkward_report())


def test_labels_stay_text(awkward):
    page = Page(awkward)
    assert not page.named("script")
    assert not [name for _, attributes in page.tags for name in attributes if name[:2] == "on"]
    assert not page.named("i")
    assert SCRIPT not in awkward
    assert page.named("title") and "Test of <i>model</i>.pth" in page.text
    for label, text, _ in AWKWARD_WORDS[:-1]:
        # Differences are marked run by run: look for pieces of at least four letters.
        for piece in re.findall(r"[a-z]{4,}", label + " " + text):
            assert piece in page.text
    assert "{{␣7␣*␣7␣}}" in page.text


def test_page_loads_nothing_external(awkward):
    page = Page(awkward)
    addresses = [
        attributes[name]
        for _, attributes in page.tags
        for name in ("src", "href", "xlink:href", "srcset", "action", "data")
        if attributes.get(name)
    ]
    assert addresses
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert not re.search(r"@import|url\((?!#)", awkward)
    assert {tag for tag, _ in page.tags}.isdisjoint({"iframe", "object", "embed", "base", "form"})


def test_empty_and_invisible_texts_are_visible(awkward):
    assert awkward.count('<span class="none">(empty)</span>') == 2
    assert "U+202E" in awkward
    assert "U+0000" in awkward
    assert "\u202e" not in awkward
    assert "\x00" not in awkward


def test_any_script_can_be_encoded(awkward):
    assert awkward.encode("utf-8").decode() == awkward
    assert "U+D800" in awkward, "half a surrogate pair, which has no UTF-8"
    assert "漢" in awkward
    assert "سل" in awkward, "letters that are right stay joined"


def test_images_tables_and_charts_have_labels(awkward):
    page = Page(awkward)
    assert all(attributes["alt"] for attributes in page.named("img"))
    assert len(page.named("table")) == len(page.named("caption"))
    drawings = [a for _, a in page.tags if a.get("role") == "img"]
    assert len(drawings) == len(page.named("svg")) == 3
    assert all(attributes["aria-label"] for attributes in drawings)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_images_are_shown_without_loss():
    image = np.random.default_rng(3).integers(0, 256, (20, 50, 3), np.uint8)
    statistics = gather(words(30), num_worst=2)
    whole = replace(report(statistics), images=[WordImages(image, None), WordImages(None, None)])
    html = render(whole)
    (data,) = re.findall(r'src="data:image/webp;base64,([^"]+)"', html)
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))
    assert np.array_equal(shown, image)
    assert "there is no image" in html
    assert "This model keeps no attention." in html


def test_numbers_match_the_statistics():
    statistics = gather(words(1500))
    text = Page(render(report(statistics))).text
    assert "1,500" in text
    assert f"{100 * statistics.words.accuracy:.2f} %" in text
    assert f"{100 * statistics.calibration.error:.2f} %" in text
    assert "Samples that could not be loaded: 30." in text
    assert "Some of them:" in text
    assert f"of {statistics.words.count - statistics.words.correct:,} wrong readings" in text


def test_report_without_words_says_so():
    text = Page(render(report(gather([])))).text
    assert "EMPTY: there are no words in it" in text
    assert text.count("There were no words.") == 2
    assert "No character was confused with another." in text


def test_report_without_confidence_or_errors_says_so():
    read = [replace(word, text=word.label, confidence=None) for word in words(9)]
    text = Page(render(report(gather(read)))).text
    assert "the model returns no word_score" in text
    assert "Every word that could be loaded was read correctly." in text
    assert "100.00 %" in text


def test_all_tables_absent_sets_and_metrics_are_shown():
    scores = {"SVT": SetScore(count=4, correct=3, similarity=3.5, expected_count=647)}
    tables = [
        Table(
            protocol=protocol,
            rows=BenchmarkReport(
                protocol=protocol, scores=scores, absent={"SVTP": "no <folder>"}
            ).rows,
        )
        for protocol in (TextProtocol(), TextProtocol(case_sensitive=True))
    ]
    whole: Report = replace(
        report(gather(words(4))), tables=tables, metrics={"recog/word_acc": 0.12345678}
    )
    text = Page(render(whole)).text
    assert text.count("ABSENT: no <folder>") == 2
    assert "The sections below use this protocol." in text
    assert "COUNT: should be 647" in text
    assert "Weighted mean of the 1 present" in text
    assert "0.123457" in text


def test_table_of_a_large_alphabet_is_limited():
    """Characters with errors come first."""
    read = [
        replace(word, index=number, label=chr(0x4E00 + number), text="x" if number > 695 else None)
        for number, word in enumerate(words(1) * 700)
    ]
    read = [replace(word, text=word.text or word.label) for word in read]
    html = render(report(gather(read, ExactText())))
    table = html.split("Characters of the labels, the worst first")[1].split("</table>")[0]
    shown = list(dict.fromkeys(re.findall(r"U\+([0-9A-F]{4})", table)))
    assert len(shown) == 500
    assert [int(code, 16) - 0x4E00 for code in shown[:5]] == [696, 697, 698, 699, 0]
    assert "with the most errors of 700; the table has 500." in html
