"""Tests of the statistics of an LMDB against values counted by hand."""

from __future__ import annotations

import json
import re

from lpv_mmocr.datasets import lmdb_statistics
from lpv_mmocr.datasets.lmdb_report import print_details, print_overview
from lpv_mmocr.datasets.lmdb_statistics import gather_statistics, total_of

import cv2
import numpy as np
import pytest
from lmdb_cases import edit, make_image, write_words, zero_page
from rich.console import Console

LABELS = ["Ab", "b!", "...", "x" * 26, "two words", "é"]


def jpeg(width: int, height: int) -> bytes:
    return cv2.imencode(".jpg", np.full((height, width, 3), 90, np.uint8))[1].tobytes()


@pytest.fixture
def words(tmp_path):
    images = [make_image(width=10 * n, height=10) for n in range(1, 6)] + [jpeg(60, 20)]
    return write_words(tmp_path / "words", LABELS, images)


@pytest.fixture
def damaged(words):
    cut = jpeg(100, 50)[:-20]
    return edit(
        words,
        {
            b"image-000000001": None,
            b"label-000000002": b"\xff",
            b"image-000000003": cut,
            b"image-000000004": b"",
            b"label-000000004": None,
        },
    )


def text_of(function, *arguments, width: int = 140) -> str:
    console = Console(width=width, highlight=False)
    with console.capture() as capture:
        function(*arguments, console)
    return capture.get()


def test_label_lengths_and_characters_are_counted(words):
    found = gather_statistics(words)
    assert found.samples == 6
    assert found.lengths == {2: 2, 3: 1, 26: 1, 9: 1, 1: 1}
    assert found.characters["b"] == 2
    assert found.characters["x"] == 26
    assert sum(found.characters.values()) == sum(map(len, LABELS))
    # 26 characters are too long; "b!", "...", "two words" and "é" lose some, two of them all.
    assert (found.passing, found.shortened, found.emptied) == (5, 4, 2)


@pytest.mark.parametrize("decode", [True, False])
def test_image_formats_and_sizes_are_counted(words, decode):
    found = gather_statistics(words, decode=decode)
    assert found.formats == {"PNG": 5, "JPEG": 1}
    assert list(found.widths) == [10, 20, 30, 40, 50, 60]
    assert list(found.heights) == [10] * 5 + [20]
    assert found.percentiles()["width"] == [10, 12.5, 22.5, 35, 47.5, 57.5, 60]
    assert found.percentiles()["aspect_ratio"][-1] == 5
    assert found.file_bytes == (words / "data.mdb").stat().st_size
    assert found.bad_count == 0


def test_bad_samples_are_listed_with_their_reasons(damaged):
    found = gather_statistics(damaged)
    reasons = {key.rpartition(":")[2]: reason for key, reason in found.bad}
    assert found.bad[0][0] == f"{damaged}:image-000000001"
    assert list(reasons) == [f"image-00000000{n}" for n in (1, 2, 3, 4)]
    assert reasons["image-000000001"] == "its image, key image-000000001, is missing"
    assert reasons["image-000000002"] == "its label is not UTF-8"
    assert "cut short" in reasons["image-000000003"]
    both = reasons["image-000000004"]
    assert "label-000000004, is missing" in both
    assert "image is empty" in both


def test_headers_alone_do_not_show_all_damage(damaged):
    found = gather_statistics(damaged, decode=False)
    assert [key[-1] for key, _ in found.bad] == ["1", "2", "4"]
    assert found.widths[1] == 100, "the header of the JPEG that was cut short"


def test_list_of_bad_samples_is_bounded(damaged, monkeypatch):
    monkeypatch.setattr(lmdb_statistics, "MAX_LISTED", 3)
    found = gather_statistics(damaged)
    assert (len(found.bad), found.bad_count) == (3, 4)
    total = total_of([found, found])
    assert (len(total.bad), total.bad_count) == (3, 8)


def test_random_sample_limits_the_examined_images(words):
    found = gather_statistics(words, sample=3, seed=1)
    assert found.examined == len(found.widths) == 3
    assert sum(found.lengths.values()) == 6, "labels are all counted"
    assert found.widths == gather_statistics(words, sample=3, seed=1).widths
    assert len({tuple(gather_statistics(words, sample=3, seed=s).widths) for s in range(8)}) > 1
    assert gather_statistics(words, sample=100).examined == 6
    with pytest.raises(ValueError, match="at least one image, not 0"):
        gather_statistics(words, sample=0)


def test_progress_adds_up(words, monkeypatch):
    monkeypatch.setattr(lmdb_statistics, "_STEP", 4)
    steps = []
    gather_statistics(words, on_progress=steps.append)
    assert steps == [4, 2]


def test_total_adds_up_several_lmdbs(words, tmp_path):
    other = write_words(tmp_path / "other", ["Ab"])
    total = total_of([gather_statistics(words), gather_statistics(other, decode=False)], "both")
    assert (total.name, total.samples, total.passing, total.examined) == ("both", 7, 6, 7)
    assert total.characters["A"] == 2
    assert not total.decoded
    assert list(total.widths)[-1] == 24


def test_statistics_convert_to_json(damaged):
    content = json.loads(json.dumps(gather_statistics(damaged).as_dict()))
    assert content["labels"]["lengths"] == {"1": 1, "2": 1, "3": 1, "9": 1}
    assert content["bad"]["count"] == 4
    assert content["bad"]["samples"][0]["reason"] == "its image, key image-000000001, is missing"
    assert content["images"]["percentiles"]["at"][3] == 50


def test_report_shows_bad_samples_and_filter_results(damaged):
    text = text_of(print_details, gather_statistics(damaged))
    assert "4 bad samples" in text
    assert f"{damaged}:image-000000002: its label is not UTF-8" in text
    assert "4 (66.67 %) pass the released filter; of these, 3 lose characters and 2 lose" in text
    assert "beyond ASCII" in text
    assert re.search(r"on disk +\d+\.\d kB ", text)


def test_labels_that_nobody_can_read_as_they_are_stored_are_counted(tmp_path):
    labels = ["чай", "чаи\u0306", " a", "b\u00a0", "a b"]
    path = write_words(tmp_path / "words", labels)
    found = gather_statistics(path)
    assert (found.edge_blanks, found.decomposed) == (2, 1)
    text = text_of(print_details, found, width=200)
    assert "2 begin or end with white space; 1 store accents apart from their letters" in text
    total = total_of([found, found], "both")
    assert (total.edge_blanks, total.decomposed) == (4, 2)
    assert total.as_dict()["labels"]["decomposed"] == 2


def test_bars_fit_the_terminal(words):
    found = gather_statistics(words)
    wide, narrow = (text_of(print_details, found, width=width) for width in (120, 80))
    assert "x   ████████████████      26" in wide
    assert "x   ███████      26" in narrow
    assert max(len(line) for line in narrow.splitlines() if "█" in line) <= 80


def test_report_of_a_random_sample_says_so(words):
    text = text_of(print_details, gather_statistics(words, sample=2, decode=False))
    assert "2 chosen at random, by their headers, not decoded; the others were not examined" in text


def test_report_without_a_readable_image_or_label(tmp_path):
    path = edit(write_words(tmp_path / "one", ["x"]), dict.fromkeys([b"image-000000001"], b""))
    edit(path, {b"label-000000001": b""})
    found = gather_statistics(path)
    assert "0 different characters: none" in text_of(print_details, found)
    rows = [line.split() for line in text_of(print_overview, [found, found]).splitlines()]
    # Samples, passing and bad ones of either row; no median, since no image could be read.
    assert [row[1:4] for row in rows if row[-1:] == ["-"]] == [["1", "1", "1"]] * 2


def test_markup_in_labels_is_text(tmp_path):
    text = text_of(print_details, gather_statistics(write_words(tmp_path / "[b]", ["[red]"])))
    assert "[b]" in text
    assert " [ " in text


@pytest.mark.parametrize("kind", ["image", "label"])
def test_samples_on_a_damaged_page_are_listed(tmp_path, kind):
    path = write_words(tmp_path / "words", ["word"] * 500)
    zero_page(path, b"%s-000000250" % kind.encode())
    found = gather_statistics(path)
    assert 10 < found.bad_count < 250
    reason = dict(found.bad)[f"{path}:image-000000250"]
    assert reason.startswith(f"key {kind}-000000250 of {path}/data.mdb cannot be read")
    assert found.bad_count + (len(found.widths) if kind == "image" else found.passing) == 500
