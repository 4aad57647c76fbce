"""Tests of converting image folders with label files to LMDB and back."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

from lpv_mmocr.datasets import LMDBDataError, close_environments, conversion
from lpv_mmocr.datasets.conversion import ConversionError, labels_to_lmdb, lmdb_to_labels
from lpv_mmocr.datasets.image_header import extension_of, needs_exif_rotation, read_header
from lpv_mmocr.datasets.label_files import LabelFileError

import cv2
import lmdb
import numpy as np
import pytest
from lmdb_cases import edit, make_image, write_words, zero_page
from PIL import Image


def content(path: Path) -> dict[bytes, bytes]:
    close_environments()
    with lmdb.open(str(path), readonly=True, lock=False) as environment, environment.begin() as txn:
        return dict(txn.cursor())


def encoded(extension: str, value: int = 90) -> bytes:
    return cv2.imencode(extension, np.full((8, 20, 3), value, np.uint8))[1].tobytes()


@pytest.fixture
def words(tmp_path) -> Path:
    """Return a folder with four images and a labels.tsv."""
    folder = tmp_path / "words"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.jpg").write_bytes(encoded(".jpg"))
    (folder / "b b.png").write_bytes(encoded(".png"))
    (folder / "sub" / "c.bmp").write_bytes(encoded(".bmp"))
    (folder / "d.jpg").write_bytes(encoded(".jpg", 10))
    (folder / "labels.tsv").write_text("a.jpg\tA\nb b.png\ttwo wörds\nsub/c.bmp\t\n./d.jpg\td\n")
    return folder


def test_images_are_stored_unchanged(words, tmp_path):
    done = labels_to_lmdb(words / "labels.tsv", tmp_path / "out")
    assert (done.written, done.left_out, done.empty_texts) == (4, 0, 1)
    assert content(tmp_path / "out") == {
        b"image-000000001": (words / "a.jpg").read_bytes(),
        b"label-000000001": b"A",
        b"image-000000002": (words / "b b.png").read_bytes(),
        b"label-000000002": "two wörds".encode(),
        b"image-000000003": (words / "sub" / "c.bmp").read_bytes(),
        b"label-000000003": b"",
        b"image-000000004": (words / "d.jpg").read_bytes(),
        b"label-000000004": b"d",
        b"num-samples": b"4",
    }
    assert os.listdir(tmp_path / "out") == ["data.mdb"]


def test_images_with_a_rotating_exif_tag_are_counted(words, tmp_path):
    assert labels_to_lmdb(words / "labels.tsv", tmp_path / "upright").turned == 0
    for name, orientation in (("a.jpg", 1), ("b b.png", 3), ("d.jpg", 6)):
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.new("RGB", (20, 8)).save(words / name, exif=exif)
    done = labels_to_lmdb(words / "labels.tsv", tmp_path / "out")
    assert (done.written, done.turned) == (4, 2)
    assert not needs_exif_rotation(b"no image")
    assert done.first_turned == f"{words}/labels.tsv, line 2: b b.png"


@pytest.mark.parametrize("orientation", range(10))
def test_orientations_that_turn_or_mirror(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    Image.new("RGB", (20, 8)).save(file, "JPEG", exif=exif)
    assert needs_exif_rotation(file.getvalue()) == (2 <= orientation <= 8)


def test_folders_hold_a_limited_number_of_images():
    limit = conversion.IMAGES_PER_FOLDER
    assert conversion._image_name(limit, limit) == f"images/{limit:09d}"
    assert conversion._image_name(limit, limit + 1) == f"images/0000/{limit:09d}"
    assert conversion._image_name(limit + 1, limit + 1) == f"images/0001/{limit + 1:09d}"


def test_folder_name_may_begin_with_dots(words, tmp_path):
    (words / "..more").mkdir()
    (words / "a.jpg").rename(words / "..more" / "a.jpg")
    (words / "labels.tsv").write_text("..more/a.jpg\tA\n")
    assert labels_to_lmdb(words / "labels.tsv", tmp_path / "out").written == 1


@pytest.mark.parametrize("labels", ["l.tsv", "l.jsonl", "l.json"])
def test_round_trip(words, tmp_path, labels, monkeypatch):
    monkeypatch.setattr(conversion, "IMAGES_PER_FOLDER", 3)
    labels_to_lmdb(words / "labels.tsv", tmp_path / "one")
    done = lmdb_to_labels(tmp_path / "one", tmp_path / "back", labels=labels)
    assert (done.written, done.empty_texts) == (4, 1)
    files = sorted(str(p.relative_to(tmp_path / "back")) for p in (tmp_path / "back").rglob("*.*"))
    assert files == [
        "images/0000/000000001.jpg",
        "images/0000/000000002.png",
        "images/0000/000000003.bmp",
        "images/0001/000000004.jpg",
        labels,
    ]
    labels_to_lmdb(tmp_path / "back" / labels, tmp_path / "two")
    assert content(tmp_path / "one") == content(tmp_path / "two")


def test_small_datasets_use_one_image_folder(tmp_path):
    write_words(tmp_path / "one", ["x", "y"])
    lmdb_to_labels(tmp_path / "one", tmp_path / "out", labels="gt", format="txt")
    lines = (tmp_path / "out" / "gt").read_text().splitlines()
    assert lines == ["images/000000001.png x", "images/000000002.png y"]


def test_images_may_be_in_another_folder(words, tmp_path):
    moved = (words / "labels.tsv").rename(tmp_path / "labels.txt")
    done = labels_to_lmdb(moved, tmp_path / "out", images=words, format="tsv")
    assert done.written == 4
    with pytest.raises(NotADirectoryError, match=r"image folder .*nowhere does not exist"):
        labels_to_lmdb(moved, tmp_path / "out2", images=tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("none.jpg\tx", r"labels.tsv, line 5: none.jpg: there is no image .*none.jpg \(path"),
        ("sub\tx", "its image cannot be read: .*Is a directory"),
        ("broken.jpg\tx", "JPEG that was cut short"),
        ("empty.jpg\tx", "its image is empty"),
        ("sub/../a.jpg\tA", "the image is already listed, at .*labels.tsv, line 1"),
    ],
)
def test_bad_samples_raise_or_are_left_out(words, tmp_path, line, message):
    (words / "broken.jpg").write_bytes((words / "a.jpg").read_bytes()[:200])
    (words / "empty.jpg").touch()
    with open(words / "labels.tsv", "a") as labels:
        labels.write(f"{line}\n")
    with pytest.raises(ConversionError, match=message + ".* --skip-bad"):
        labels_to_lmdb(words / "labels.tsv", tmp_path / "out")
    assert os.listdir(tmp_path) == ["words"], "an error leaves nothing"

    done = labels_to_lmdb(words / "labels.tsv", tmp_path / "out", skip_bad=True)
    assert (done.written, done.left_out) == (4, 1)
    assert content(tmp_path / "out")[b"num-samples"] == b"4"
    name, reason = (tmp_path / "out" / "left-out.tsv").read_text().rstrip("\n").split("\t")
    assert name == f"{words}/labels.tsv, line 5: {line.split(chr(9))[0]}"
    assert reason


def test_undecodable_images_pass_without_check(words, tmp_path):
    (words / "a.jpg").write_bytes(b"nonsense")
    with pytest.raises(ConversionError, match="cannot be decoded"):
        labels_to_lmdb(words / "labels.tsv", tmp_path / "out")
    assert labels_to_lmdb(words / "labels.tsv", tmp_path / "out", check=False).written == 4
    with pytest.raises(ConversionError, match=r"out: image-000000001: its image .* be decoded"):
        lmdb_to_labels(tmp_path / "out", tmp_path / "back")
    lmdb_to_labels(tmp_path / "out", tmp_path / "back", check=False)
    assert (tmp_path / "back" / "images" / "000000001.img").read_bytes() == b"nonsense"


def test_empty_images_are_refused_even_without_check(words, tmp_path):
    (words / "a.jpg").write_bytes(b"")
    with pytest.raises(ConversionError, match="its image is empty"):
        labels_to_lmdb(words / "labels.tsv", tmp_path / "out", check=False)


@pytest.mark.parametrize("path", ["../secret.jpg", "sub/../../secret.jpg", "/etc/passwd", ".."])
def test_paths_outside_the_image_folder_are_refused(words, tmp_path, path):
    (tmp_path / "secret.jpg").write_bytes(encoded(".jpg"))
    (words / "labels.tsv").write_text(f"a.jpg\tA\n{path}\tx\n")
    with pytest.raises(LabelFileError, match=r"line 2: .* is outside the image folder .* --images"):
        labels_to_lmdb(words / "labels.tsv", tmp_path / "out", skip_bad=True)
    assert not (tmp_path / "out").exists()


def test_label_file_is_checked_before_anything_is_written(words, tmp_path, monkeypatch):
    monkeypatch.setattr(conversion, "LMDBWriter", None)
    with open(words / "labels.tsv", "a") as labels:
        labels.write("no tab\n")
    with pytest.raises(LabelFileError, match="line 5"):
        labels_to_lmdb(words / "labels.tsv", tmp_path / "out")


def test_dataset_without_usable_samples_is_refused(words, tmp_path):
    (words / "labels.tsv").write_text("x.jpg\tx\ny.jpg\ty\n")
    with pytest.raises(ConversionError, match=r"none of the 2 samples .* first: .*no image .*x"):
        labels_to_lmdb(words / "labels.tsv", tmp_path / "out", skip_bad=True)
    (words / "labels.tsv").write_text("\n")
    with pytest.raises(LabelFileError, match="lists no image"):
        labels_to_lmdb(words / "labels.tsv", tmp_path / "out")
    assert os.listdir(tmp_path) == ["words"]


def test_existing_output_is_refused(words, tmp_path):
    write_words(tmp_path / "one", ["x"])
    before = content(tmp_path / "one")
    with pytest.raises(FileExistsError, match="one exists; choose another name"):
        labels_to_lmdb(words / "labels.tsv", tmp_path / "one")
    with pytest.raises(FileExistsError, match="words exists; choose another name"):
        lmdb_to_labels(tmp_path / "one", words)
    assert content(tmp_path / "one") == before


def test_interrupted_conversion_leaves_nothing(words, tmp_path, monkeypatch):
    def interrupt(total):
        raise KeyboardInterrupt

    monkeypatch.setattr(conversion, "decode_image", interrupt)
    write_words(tmp_path / "one", ["x"])
    with pytest.raises(KeyboardInterrupt):
        labels_to_lmdb(words / "labels.tsv", tmp_path / "out")
    with pytest.raises(KeyboardInterrupt):
        lmdb_to_labels(tmp_path / "one", tmp_path / "out")
    assert sorted(os.listdir(tmp_path)) == ["one", "words"]


def test_names_of_left_out_samples_take_one_line(words, tmp_path):
    entries = [dict(filename="a.jpg", text="a"), dict(filename="no\n\tne.jpg", text="b")]
    file = words / "l.jsonl"
    file.write_text("\n".join(map(json.dumps, entries)))
    labels_to_lmdb(file, tmp_path / "out", skip_bad=True)
    (line,) = (tmp_path / "out" / "left-out.tsv").read_text().splitlines()
    name, reason = line.split("\t")
    assert name.endswith(r"line 2: no\n\tne.jpg") and reason


def test_bad_samples_of_an_lmdb_raise_or_are_left_out(tmp_path):
    path = write_words(tmp_path / "one", ["x", "y", "z", b"\xff", "last"])
    edit(path, {b"label-000000001": None, b"image-000000002": None, b"image-000000003": b""})
    with pytest.raises(ConversionError, match=r"image-000000001: its label, .* is missing; .*ski"):
        lmdb_to_labels(path, tmp_path / "out")
    assert os.listdir(tmp_path) == ["one"]
    done = lmdb_to_labels(path, tmp_path / "out", skip_bad=True)
    assert (done.written, done.left_out) == (1, 4)
    assert (tmp_path / "out" / "labels.tsv").read_text() == "images/000000005.png\tlast\n"
    assert (tmp_path / "out" / "left-out.tsv").read_text() == (
        f"{path}: image-000000001\tits label, key label-000000001, is missing\n"
        f"{path}: image-000000002\tits image, key image-000000002, is missing\n"
        f"{path}: image-000000003\tits image is empty\n"
        f"{path}: image-000000004\tits label is not UTF-8\n"
    )


def test_texts_are_checked_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(conversion, "atomic_folder", None)
    write_words(tmp_path / "one", ["x", "two words"])
    with pytest.raises(LabelFileError, match=r"image-000000002: its text 'two words' .* use tsv"):
        lmdb_to_labels(tmp_path / "one", tmp_path / "out", labels="l.txt", skip_bad=True)


def test_path_that_is_not_one_lmdb_is_refused(tmp_path):
    write_words(tmp_path / "tree" / "a", ["x"])
    write_words(tmp_path / "tree" / "b", ["x"])
    with pytest.raises(LMDBDataError, match=r"tree is not an LMDB but holds 2: .*a, .*b; convert"):
        lmdb_to_labels(tmp_path / "tree", tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        lmdb_to_labels(tmp_path / "none", tmp_path / "out")


@pytest.mark.parametrize("name", ["sub/l.tsv", "left-out.tsv", "../l.tsv"])
def test_bad_name_of_the_label_file_is_refused(tmp_path, name):
    write_words(tmp_path / "one", ["x"])
    with pytest.raises(LabelFileError, match="needs a plain, unreserved name"):
        lmdb_to_labels(tmp_path / "one", tmp_path / "out", labels=name)


def test_progress_is_shown_only_on_request(words, tmp_path, capsys):
    labels_to_lmdb(words / "labels.tsv", tmp_path / "silent")
    assert capsys.readouterr().err == ""
    labels_to_lmdb(words / "labels.tsv", tmp_path / "out", show_progress=True)
    assert capsys.readouterr().err.startswith("converting: 4/4, ")
    lmdb_to_labels(tmp_path / "out", tmp_path / "back", show_progress=True)
    assert capsys.readouterr().err.startswith("converting: 4/4, ")


def test_extension_and_size_are_read_from_the_header():
    for extension in (".jpg", ".png", ".bmp", ".webp", ".tif"):
        assert extension_of(encoded(extension)) == extension
    assert read_header(make_image(width=24, height=8)) == ("PNG", 24, 8)
    assert read_header(None) is read_header(b"") is read_header(b"nonsense") is None


def test_unexpected_pillow_error_on_a_header_is_handled(monkeypatch):
    def stumble(*_: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(Image, "open", stumble)
    assert read_header(b"DDS ") is None and not needs_exif_rotation(b"DDS ")


@pytest.mark.parametrize("kind", ["image", "label"])
def test_samples_on_a_damaged_page_raise_or_are_left_out(tmp_path, kind):
    path = write_words(tmp_path / "lmdb", ["word"] * 500)
    zero_page(path, b"%s-000000250" % kind.encode())
    with pytest.raises(ConversionError, match=rf"lmdb: image-\d+: key {kind}-\d+ of .* --skip-bad"):
        lmdb_to_labels(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    done = lmdb_to_labels(path, tmp_path / "out", skip_bad=True)
    assert done.written + done.left_out == 500 and 10 < done.left_out < 250
    listed = (tmp_path / "out" / conversion.LEFT_OUT_FILE).read_text()
    assert f"{path}: image-000000250\tkey {kind}-000000250 of" in listed
