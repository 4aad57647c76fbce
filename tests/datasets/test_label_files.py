"""Tests of label files, with MMOCR's own datasets as reference for its formats."""

from __future__ import annotations

from lpv_mmocr.datasets.label_files import (
    LabelFileError,
    LabelFileWriter,
    check_text,
    format_of,
    read_labels,
)

import pytest
from mmocr.datasets import OCRDataset, RecogTextDataset

PLAIN = [("a/1.jpg", "word"), ("a/2.jpg", "Wörd!"), ("3.png", "漢字"), ("4.png", '"q\\n"')]
WITH_BLANKS = [("1.jpg", "two words"), ("2.jpg", " edge "), ("3.jpg", ""), ("4.jpg", "\u3000")]
ANY = [("1.jpg", "a\tb"), ("2.jpg", "a\nb"), ("3.jpg", "a\r"), ("4.jpg", "\u2028\x85")]


def write(path, entries):
    with LabelFileWriter(path, format_of(path)) as labels:
        for entry in entries:
            labels.write(*entry)
    return path


def read(path, format=None):
    return [(entry.path, entry.text) for entry in read_labels(path, format)]


def labels_of(dataset) -> list[tuple[str, str]]:
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    return [(info["img_path"], info["instances"][0]["text"]) for info in infos]


@pytest.mark.parametrize(
    ("name", "entries"),
    [
        ("l.tsv", PLAIN + WITH_BLANKS),
        ("l.txt", PLAIN),
        ("l.jsonl", PLAIN + WITH_BLANKS + ANY),
        ("l.JSON", PLAIN + WITH_BLANKS + ANY),
        ("l.json", []),
    ],
)
def test_round_trip(tmp_path, name, entries):
    assert read(write(tmp_path / name, entries)) == entries


def test_mmocr_reads_written_files(tmp_path):
    blanks = [entry for entry in WITH_BLANKS + ANY if entry[1]]
    txt = RecogTextDataset(
        ann_file=str(write(tmp_path / "l.txt", PLAIN)),
        parser_cfg=dict(type="LineStrParser", keys=["filename", "text"], keys_idx=[0, 1]),
    )
    assert labels_of(txt) == PLAIN
    jsonl = RecogTextDataset(ann_file=str(write(tmp_path / "l.jsonl", PLAIN + blanks)))
    assert labels_of(jsonl) == PLAIN + blanks
    json = OCRDataset(ann_file=str(write(tmp_path / "l.json", PLAIN + blanks)))
    assert labels_of(json) == PLAIN + blanks


def test_byte_order_mark_crlf_and_blank_lines_are_accepted(tmp_path):
    file = tmp_path / "gt.txt"
    file.write_bytes("\ufeffa.jpg  two words \r\n\r\nb.jpg x".encode())
    assert read(file) == [("a.jpg", " two words"), ("b.jpg", "x")]
    file.write_bytes("\ufeffa.jpg\tx \r\n\n   \nb.jpg\t".encode())
    assert read(file, "tsv") == [("a.jpg", "x "), ("b.jpg", "")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mu\u0308ller", "M\u00fcller"),
        ("M\u00fcller", "M\u00fcller"),
        ("q\u0308", "q\u0308"),  # Unicode has no such letter
        ("\u212b\u0958", "\u212b\u0958"),  # NFC would replace one and split the other
        ("\u212be\u0301\u0958", "\u212b\u00e9\u0958"),
        ("\u0928\u093c\u0958", "\u0929\u0958"),
        ("\u1112\u1161\u11ab", "\ud55c"),
    ],
)
def test_letter_and_accent_become_one_character(tmp_path, text, expected):
    file = tmp_path / "l.tsv"
    file.write_text(f"a.jpg\t{text}\n", encoding="utf-8")
    assert read(file) == [("a.jpg", expected)]


def test_reading_is_lazy(tmp_path):
    file = tmp_path / "l.tsv"
    file.write_text("a.jpg\ta\nbroken\n")
    entries = read_labels(file)
    assert next(entries).text == "a"
    with pytest.raises(LabelFileError, match=r"l\.tsv, line 2: there is no TAB"):
        next(entries)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("l.tsv", b"a.jpg\ta\nb\tc\td\n", r"line 2: 3 columns .* needs jsonl or json"),
        ("l.tsv", b"a.jpg\t\xe9\n", r"line 1 is not UTF-8 .* iconv"),
        ("l.tsv", "a.jpg\ta\n".encode("utf-16"), r"line 1: .* is UTF-16, .* iconv -f UTF-16 -t"),
        ("l.tsv", b"\xfe\xff\0a\0.\0j", r"line 1: .* is UTF-16, .* iconv -f UTF-16 -t UTF-8"),
        ("l.json", "{}".encode("utf-16"), r"l\.json: the file is UTF-16, .* iconv -f UTF-16"),
        ("l.tsv", b"\tword\n", r"line 1: the path of the image is ''"),
        (
            "l.txt",
            b"test/a.png\tTwo words\n",
            r"line 1: there is a TAB before .* give --format tsv",
        ),
        ("l.txt", b"a.jpg\n", r"line 1: there is no text after 'a.jpg'; an empty text needs tsv"),
        (
            "l.jsonl",
            b'{"filename": "a", "text": "b"}\n{"filename"',
            r"line 2 is not valid JSON: .*",
        ),
        ("l.jsonl", b'{"filename": "a"}', r"line 1: 'text' must be a string, but is miss"),
        ("l.jsonl", b'{"filename": "a", "text": 7}', r"'text' must be .* but holds 7"),
        ("l.jsonl", b'{"filename": "a", "text": "\\ud800"}', "half of a surrogate pair"),
        ("l.jsonl", b"[1]", "line 1: 'filename' must be a string, but is missing"),
        ("l.json", b'{"data_list": 1}', r"l\.json has no list 'data_list'"),
        ("l.json", b'{"filename": "a", "text": "b"}', r"one object per line is jsonl"),
        ("l.json", b"{\n nonsense}", r"is not valid JSON: .* \(line 2, column 2\)"),
        (
            "l.json",
            b'{"data_list": [{"img_path": "a", "instances": [{"text": "b"}, {"text": "c"}]}]}',
            r"data_list\[0\]: 'instances' must be a list of one text",
        ),
        ("l.json", b"1" * 5_000, "is not a label file: Exceeds the limit"),
        ("l.json", b"[" * 200_000, "nested too deeply|is not valid JSON"),
        ("l.csv", b"", "extension names no label format; give --format"),
    ],
)
def test_errors_name_place_and_remedy(tmp_path, name, content, message):
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(LabelFileError, match=message):
        read(file)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("l.txt", "two words", r"x.jpg: its text 'two words' has white space, .* use tsv or jsonl"),
        ("l.txt", "", "has no character, which txt cannot hold"),
        ("l.tsv", "a\tb", "has a TAB, which tsv cannot hold; use jsonl or json"),
        ("l.tsv", "a\nb", "has a line break"),
        ("l.tsv", "a\r", "has a carriage return"),
    ],
)
def test_texts_that_a_format_cannot_hold_are_refused(name, text, message):
    with pytest.raises(LabelFileError, match=message):
        check_text(text, format_of(name), "x.jpg")


def test_format_from_extension_or_argument(tmp_path):
    assert format_of("gt.txt") == "txt"
    assert format_of("gt.txt", "tsv") == "tsv"
    with pytest.raises(LabelFileError, match="no label format 'csv'; choose from tsv, txt"):
        format_of("gt.txt", "csv")
