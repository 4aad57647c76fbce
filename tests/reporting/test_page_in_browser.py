"""Tests of the report page in a browser."""

from __future__ import annotations

import io
from pathlib import Path

from lpv_mmocr.reporting import render

import pytest
from PIL import Image
from report_cases import awkward_report, gather, report, words

SCHEMES = ("light", "dark")
DESKTOP = dict(width=1200, height=900)
PHONE = dict(width=390, height=844)
PAPER = dict(width=718, height=1047)  # A4 without its margins, in CSS pixels
# Contrast of every piece of text with its background, as defined by WCAG 2.
CONTRASTS = """
() => {
  const parse = (colour) => {
    const [r, g, b, a = 1] = colour.match(/[\\d.]+/g).map(Number);
    return [r, g, b, a];
  };
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((v) => v / 255)
      .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    if (!element) return [255, 255, 255];
    const [r, g, b, a] = parse(getComputedStyle(element).backgroundColor);
    if (a === 1) return [r, g, b];
    return behind(element.parentElement).map((v, i) => v * (1 - a) + [r, g, b][i] * a);
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.getClientRects().length) continue;
    const style = getComputedStyle(element);
    const ink = parse(element.closest("svg") ? style.fill : style.color).slice(0, 3);
    const pair = [luminance(ink), luminance(behind(element))].sort((x, y) => y - x);
    found.push([(pair[0] + 0.05) / (pair[1] + 0.05), walker.currentNode.data.trim()]);
  }
  return found;
}
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    """Files of a page on many words, and of one on awkward words."""
    folder = tmp_path_factory.mktemp("pages")
    pages = {"many": report(gather(words(2000), num_worst=5)), "awkward": awkward_report()}
    for name, content in pages.items():
        (folder / f"{name}.html").write_text(render(content), encoding="utf-8")
    return {name: folder / f"{name}.html" for name in pages}


@pytest.fixture
def visit(browser, files):
    """Function that opens a page, which must log nothing and request nothing else."""
    complaints, requests, contexts = [], [], []

    def go(name: str, scheme: str = "light", viewport: dict | None = None):
        context = browser.new_context(color_scheme=scheme, viewport=viewport or DESKTOP)
        context.set_default_timeout(180_000)  # milliseconds; the machine may be busy
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(files[name].as_uri())
        return page

    yield go
    opened = {file.as_uri() for file in files.values()}
    for context in contexts:
        context.close()
    assert complaints == []
    assert [url for url in requests if url not in opened and not url.startswith("data:")] == []


@pytest.mark.parametrize("name", ["many", "awkward"])
def test_page_has_headings_charts_and_images(visit, name):
    page = visit(name)
    assert page.locator("h1").inner_text() == "Test of <i>model</i>.pth"
    assert page.title() == "Test of <i>model</i>.pth"
    assert page.locator("h2").all_inner_texts() == [
        "Sets",
        "By word length",
        "By character",
        "Confusions",
        "Confidence",
        "Worst errors",
    ]
    widths = page.evaluate("[...document.images].map((image) => image.naturalWidth)")
    assert len(widths) == 2 * page.locator(".errors > li").count() > 0
    assert min(widths) > 0
    for chart in page.locator(".chart svg").all():
        box = chart.bounding_box()
        assert box["width"] > 300 and box["height"] > 200


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("name", ["many", "awkward"])
def test_page_fits_the_width(visit, name, viewport):
    page = visit(name, viewport=viewport)
    for details in page.locator("summary").all():
        details.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]


def test_attention_has_the_full_width(visit):
    """Next to the text, its captions would be too small to read."""
    page = visit("many")
    error = page.locator(".errors > li").first
    what, attention = (error.locator(part).bounding_box() for part in (".what", ".scroll"))
    assert attention["y"] >= what["y"] + what["height"]
    assert attention["width"] > 0.9 * error.bounding_box()["width"]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_text_has_enough_contrast(visit, scheme):
    page = visit("many", scheme)
    for details in page.locator("summary").all():
        details.click()
    contrasts = page.evaluate(CONTRASTS)
    assert len(contrasts) > 500
    assert min(contrasts)[0] >= 4.5, min(contrasts)


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_screenshot_has_colours_of_scheme_and_charts(visit, scheme, viewport):
    page = visit("many", scheme, viewport)
    shot = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")
    assert shot.width == viewport["width"]
    counts = {colour: count for count, colour in shot.getcolors(shot.width * shot.height)}
    paper = max(counts, key=counts.get)
    assert (sum(paper) > 600) == (scheme == "light")
    assert counts[(0x3B, 0x82, 0xC4)] > 5000, "the columns of the charts"


def test_links_have_targets_and_scroll_areas_take_focus(visit):
    page = visit("many", viewport=PHONE)
    for link in page.locator("nav a").all():
        assert page.locator(link.get_attribute("href")).count() == 1
    scrolling = page.evaluate(
        "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth)"
        ".map(e => e.tabIndex)"
    )
    assert scrolling
    assert set(scrolling) == {0}


def test_page_fits_paper_and_prints_on_white(visit):
    page = visit("many", "dark")
    assert page.pdf(format="A4").startswith(b"%PDF")
    page.emulate_media(media="print")
    page.set_viewport_size(PAPER)
    assert page.evaluate("document.documentElement.scrollWidth") <= PAPER["width"]
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.locator("nav").is_visible()
