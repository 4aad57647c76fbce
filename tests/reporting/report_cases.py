"""Simulated readings of words, and reports on them."""

from __future__ import annotations

import random
import string

from lpv_mmocr.evaluation import TextProtocol
from lpv_mmocr.evaluation.score_table import row_of_set
from lpv_mmocr.evaluation.text_protocol import ExactText
from lpv_mmocr.reporting import ReadingStatistics, Report, Table, WordResult
from lpv_mmocr.reporting.reread import WordImages

import numpy as np

SCRIPT = "<script>document.title = 'taken over'</script>"
# Label, reading, confidence.
AWKWARD_WORDS = (
    (SCRIPT, "'\"><img src=x onerror=alert(1)>", 0.99),
    ("", "something", 0.98),
    ("nothing", "", 0.97),
    ("سلام", "سلم", 0.96),
    ("\u202eoverride", "override", 0.95),
    ("漢字かな", "漢宇かな", 0.94),
    ("नमस्ते", "नमसते", 0.93),
    ("two words", "twowords", 0.92),
    ("tab\there\x00", "tabhere", 0.91),
    ("$x^2$ & {{ 7 * 7 }}", "$y^2$ &amp; {% x %}", 0.90),
    ("W" * 200, "W" * 150, 0.89),
    ("\ud800 half a pair", "half a pair", 0.88),
    ("right", "right", 0.99),
)


def words(count: int, seed: int = 0) -> list[WordResult]:
    """Return words of 1 to 9 letters and digits; confident ones are more often correct."""
    numbers = random.Random(seed)
    alphabet = string.ascii_letters + string.digits
    made = []
    for index in range(count):
        label = "".join(numbers.choices(alphabet, k=numbers.randint(1, 9)))
        confidence = numbers.random()
        text = label
        if numbers.random() > confidence:
            place = numbers.randrange(len(label))
            change = numbers.choice(("", numbers.choice(alphabet), label[place] + "l"))
            text = label[:place] + change + label[place + 1 :]
        made.append(
            WordResult(
                index=index,
                key=f"set:image-{index:09d}",
                label=label,
                text=text,
                confidence=confidence,
                character_scores=(confidence,) * len(text),
                bad_sample=index % 50 == 49,
            )
        )
    return made


def gather(read: list[WordResult], protocol: TextProtocol | None = None, **kwargs):
    """Return the statistics of words."""
    statistics = ReadingStatistics(protocol=protocol or TextProtocol(), **kwargs)
    for word in read:
        statistics.add(word)
    return statistics


def awkward_report() -> Report:
    """Return a report on words that are difficult to display."""
    read = [
        WordResult(
            index=index, key=f"<b>{index}</b>", label=label, text=text, confidence=confidence
        )
        for index, (label, text, confidence) in enumerate(AWKWARD_WORDS)
    ]
    return report(gather(read, ExactText()))


def report(statistics: ReadingStatistics) -> Report:
    """Return a report on words of one set, with a plain image for each error."""
    pixels = np.zeros((300, 700, 3), np.uint8)
    pixels[..., 0] = np.linspace(0, 255, 700, dtype=np.uint8)
    return Report(
        title="<i>model</i>.pth",
        facts={"Checkpoint": "/a/very/long/path" * 8 + "/model.pth"},
        tables=[
            Table(protocol=statistics.protocol, rows=[row_of_set("all words", statistics.score)])
        ],
        statistics=statistics,
        images=[WordImages(pixels[:32, :100], pixels) for _ in statistics.worst],
    )
