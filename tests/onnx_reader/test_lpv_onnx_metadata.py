"""Tests of model files that cannot be used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import lpv_onnx
from lpv_onnx.metadata import parse_tta

onnx = pytest.importorskip("onnx", reason="the extra [onnx] is not installed")


def test_missing_foreign_and_later_files_are_refused(model_file, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no model file .*none.onnx"):
        lpv_onnx.Reader(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(lpv_onnx.ModelError, match=r"text.onnx is not a readable ONNX file"):
        lpv_onnx.Reader(tmp_path / "text.onnx")
    model = onnx.load(model_file)
    metadata = json.loads(model.metadata_props[0].value)
    model.metadata_props[0].value = json.dumps({**metadata, "format": 99})
    onnx.save(model, tmp_path / "later.onnx")
    with pytest.raises(lpv_onnx.ModelError, match="for a later version of lpv_onnx"):
        lpv_onnx.Reader(tmp_path / "later.onnx")
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "bare.onnx")
    with pytest.raises(lpv_onnx.ModelError, match=r"bare.onnx has no LPV metadata"):
        lpv_onnx.Reader(tmp_path / "bare.onnx")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not json", "is not JSON"),
        ("{}", "has no format number"),
        ("[1]", "has no format number"),
        ('{"format": "1"}', "has no format number"),
        ('{"format": 1}', "there is no classes, start, end, preprocessing"),
        ('{"format": 99}', "lpv-mmocr of an unknown version, for a later version of lpv_onnx"),
        (None, r"there is no preprocessing\.mean, preprocessing\.std"),
    ],
)
def test_damaged_metadata_is_reported(model_file, tmp_path, text, message):
    model = onnx.load(model_file)
    (entry,) = model.metadata_props
    if text is None:
        metadata = json.loads(entry.value)
        del metadata["preprocessing"]["mean"], metadata["preprocessing"]["std"]
        text = json.dumps(metadata)
    entry.value = text
    onnx.save(model, tmp_path / "damaged.onnx")
    with pytest.raises(lpv_onnx.ModelError, match=rf"damaged\.onnx .*{message}"):
        lpv_onnx.Reader(tmp_path / "damaged.onnx")


@pytest.mark.parametrize(
    ("tta", "message"),
    [
        ([], "list indices must be"),
        (dict(looks=[]), "'sure'"),
        (dict(looks=[dict(turn=90)], sure=0.8), "unexpected keyword argument 'turn'"),
        (dict(looks=[dict(matrix=[[1, 0]])], sure=0.8), "two rows of two numbers"),
        (dict(looks=[dict(matrix=[[1, "x"], [0, 1]])], sure=0.8), "could not convert"),
        (dict(looks=[dict(matrix=[[1, 1], [1, 1]])], sure=0.8), "invertible"),
        (dict(looks=[], sure="much"), "could not convert"),
    ],
)
def test_damaged_looks_are_reported(tta, message):
    error = rf"a\.onnx has damaged metadata; .*entry tta is invalid: .*{message}"
    with pytest.raises(lpv_onnx.ModelError, match=error):
        parse_tta(dict(tta=tta), Path("a.onnx"))


def test_files_of_older_versions_have_no_looks():
    assert parse_tta({}, Path("a.onnx")) == ((), 0.0)
