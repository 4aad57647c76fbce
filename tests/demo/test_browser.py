"""Tests of the demo page in a browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lpv_mmocr.demo.answer import EXAMPLES

import cv2
import numpy as np
import pytest
from apis.inference_cases import noise

FILE = "#image input[type=file]"


class Visit:
    """Page opened in the browser, which records its requests.

    Attributes:
        page: Playwright's page.
        asked: Addresses that were requested.
    """

    def __init__(self, page) -> None:
        self.page = page
        self.asked: list[str] = []
        page.on("request", lambda request: self.asked.append(request.url))

    def text(self) -> str:
        return self.page.input_value("#text textarea, #text input")

    def drop(self, file: Path) -> None:
        self.page.set_input_files(FILE, str(file))

    def wait_for_attention(self) -> None:
        self.page.wait_for_function(
            "() => { const image = document.querySelector('#attention img');"
            "return image && image.complete && image.naturalWidth > 100 }"
        )


# The server starts before the browser, whose event loop would interfere.
@pytest.fixture
def visit(served, browser) -> Iterator[Visit]:
    context = browser.new_context(viewport=dict(width=1100, height=900))
    context.set_default_timeout(180_000)  # milliseconds; the machine may be busy
    visit = Visit(context.new_page())
    visit.page.goto(served.address)
    visit.page.wait_for_selector(FILE, state="attached")
    yield visit
    context.close()


def test_dropped_image_is_read(visit, served, tmp_path):
    cv2.imwrite(str(tmp_path / "word.png"), noise())
    (reading,) = served.reader.read(noise())
    visit.drop(tmp_path / "word.png")
    visit.wait_for_attention()
    assert visit.text() == reading.text
    confidence = visit.page.input_value("#confidence textarea, #confidence input")
    assert confidence == f"{100 * reading.confidence:.1f}%"
    last = f"{100 * reading.scores[-1]:.1f}%"
    visit.page.locator("#characters", has_text=last).wait_for()  # it may be drawn later
    table = visit.page.inner_text("#characters").split()
    for character, score in zip(reading.text, reading.scores, strict=True):
        assert character in table and f"{100 * score:.1f}%" in table

    shot = visit.page.screenshot(path=tmp_path / "page.png", full_page=True)
    pixels = cv2.imdecode(np.frombuffer(shot, np.uint8), cv2.IMREAD_COLOR)
    assert pixels.shape[1] == 1100 and pixels.std() > 20, "a page that is not blank"

    outside = [url for url in visit.asked if not url.startswith((served.address, "data:", "blob:"))]
    assert not outside, "works where there is no net"


def test_chosen_example_is_read(visit, served):
    shown = visit.page.locator("button:has(img), .gallery-item:has(img)")
    files = sorted(EXAMPLES.glob("*.jpg"))
    assert len(files) >= 4
    shown.first.click()
    visit.wait_for_attention()
    assert visit.text() == served.reader.read(files[0])[0].text


def test_page_continues_after_an_unreadable_file(visit, served, tmp_path, capfd):
    (tmp_path / "bad.png").write_bytes(b"no image")
    cv2.imwrite(str(tmp_path / "word.png"), noise())
    visit.drop(tmp_path / "bad.png")
    message = "This file cannot be read: it is not an image, or one of unknown or damaged format."
    visit.page.get_by_text(message).wait_for()
    assert visit.text() == ""
    assert "Traceback" not in visit.page.content() + "".join(capfd.readouterr())

    visit.page.get_by_label("Clear").or_(visit.page.get_by_label("Remove Image")).first.click()
    visit.drop(tmp_path / "word.png")
    visit.wait_for_attention()
    assert visit.page.get_by_text("cannot be read").count() == 0
    assert visit.text() == served.reader.read(noise())[0].text


def test_too_large_file_gets_a_message(visit, tmp_path):
    (tmp_path / "large.png").write_bytes(bytes(10 * 2**20 + 1))
    visit.drop(tmp_path / "large.png")
    visit.page.get_by_text("exceed the maximum allowed size").first.wait_for()
    assert visit.text() == ""
