"""Tests of recognising uploaded files."""

from __future__ import annotations

import os

from lpv_mmocr.demo.uploads import uploaded_file

import pytest


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "uploads"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "word.png").write_bytes(b"image")
    (tmp_path / "outside.png").write_bytes(b"image")
    (folder / "link.png").symlink_to(tmp_path / "outside.png")
    (folder / "inner.png").symlink_to(folder / "sub" / "word.png")
    return folder


def test_uploaded_file_is_found(folder, monkeypatch):
    word = folder / "sub" / "word.png"
    assert uploaded_file(None, folder) is None
    assert uploaded_file({"path": str(word), "meta": {}}, folder) == word
    assert uploaded_file({"path": str(folder / "inner.png")}, folder) == word
    monkeypatch.chdir(folder)
    assert uploaded_file({"path": "sub/word.png"}, os.curdir) == word


@pytest.mark.parametrize(
    "path",
    [
        "../outside.png",
        "link.png",
        "sub",
        ".",
        "sub/nothing.png",
        "a\0b",
        "a" * 300,
        "file:///etc/hosts",
    ],
)
def test_other_files_are_refused(folder, path):
    with pytest.raises(ValueError, match="was not uploaded to this page"):
        uploaded_file({"path": str(folder / path)}, folder)


@pytest.mark.parametrize(
    "upload", ["", "x", [], {}, {"path": None}, {"path": ""}, {"path": 7}, {"path": "/etc/hosts"}]
)
def test_other_values_are_refused(folder, upload):
    with pytest.raises(ValueError, match="was not uploaded to this page"):
        uploaded_file(upload, folder)
