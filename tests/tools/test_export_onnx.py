"""Tests of ``tools/deployment``: ONNX export of a toy, and its texts compared with PyTorch's."""

from __future__ import annotations

import io
import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

from lpv_mmocr.datasets import LMDBWriter
from lpv_mmocr.deploy import onnx_export

import cv2
import numpy as np
import onnx
import pytest
import torch
from onnx_cases import import_exporter
from PIL import Image

import lpv_onnx

import_exporter()


@pytest.fixture
def export(tool_in_process):
    return tool_in_process("deployment/export_onnx.py")


@pytest.fixture
def compare(tool_in_process):
    return tool_in_process("deployment/compare_texts.py")


@pytest.fixture(scope="module")
def plain_graph() -> list[bytes]:
    """The toy's graph as exported without options, once a test has traced it."""
    return []


@pytest.fixture
def traced_once(plain_graph, monkeypatch):
    """Trace the toy for one test only, for exports without options; each time takes seconds."""
    trace = onnx_export._trace

    def trace_once(graph: object, preprocessing: object, file: Path) -> None:
        if not plain_graph:
            trace(graph, preprocessing, file)
            plain_graph.append(file.read_bytes())
        file.write_bytes(plain_graph[0])

    monkeypatch.setattr(onnx_export, "_trace", trace_once)


@pytest.mark.usefixtures("traced_once")
def test_export_writes_the_model_and_compares_logits(export, toy_run, tmp_path, capsys):
    assert export(toy_run / "iter_4.pth", "--out", "new/toy.onnx") == 0
    first, second = capsys.readouterr().out.splitlines()
    assert re.fullmatch(
        r"new/toy\.onnx: \d\.\d MB, fp32, images 32x64 \(height x width\), mask off", first
    )
    assert re.fullmatch(
        r"compared with PyTorch: logits of 16 drawn words differ by up to .*", second
    )
    metadata = lpv_onnx.Reader(tmp_path / "new/toy.onnx").metadata
    assert metadata["source"] == "iter_4.pth"
    assert metadata["classes"][:3] == ["0", "1", "2"]


@pytest.mark.usefixtures("traced_once")
def test_link_is_followed_and_permissions_are_kept(export, toy_run, tmp_path):
    target = tmp_path / "elsewhere.onnx"
    target.touch(0o640)
    (tmp_path / "link.onnx").symlink_to(target)
    assert export(toy_run / "iter_4.pth", "--out", "link.onnx") == 0
    assert (tmp_path / "link.onnx").is_symlink()
    assert target.stat().st_mode & 0o777 == 0o640
    lpv_onnx.Reader(target)


@pytest.mark.slow
def test_mask_is_exported_as_in_the_model(export, toy_config, toy_run, tmp_path):
    masked = tmp_path / "masked.py"
    masked.write_text(f"_base_ = {str(toy_config)!r}\nmodel = dict(decoder=dict(with_mask=True))\n")
    for number, options in enumerate(([], ["--mask", "off"])):
        out = f"{number}.onnx"
        assert export(toy_run / "iter_4.pth", "--config", masked, "--out", out, *options) == 0
        assert lpv_onnx.Reader(out).metadata["mask"] is (not options)


@pytest.mark.slow
def test_export_options_are_kept_and_texts_compared(
    export, compare, toy_run, toy_data, tmp_path, capsys
):
    checkpoint = toy_run / "iter_4.pth"
    made = export(
        checkpoint, "--out", "a.onnx", "--mask", "on", "--attention", "--precision", "int8"
    )
    assert made == 0, capsys.readouterr().err
    reader = lpv_onnx.Reader("a.onnx")
    assert (reader.metadata["mask"], reader.metadata["precision"]) == (True, "int8")
    (reading,) = reader(np.zeros((20, 50, 3), np.uint8))
    assert reading.attention.shape[:2] == (3, 27)

    capsys.readouterr()
    Path("copy").mkdir()
    shutil.copy("a.onnx", "copy")
    files = ["a.onnx", "copy/a.onnx"]  # files with the same name are listed separately
    options = [checkpoint, "--data", toy_data / "train", "--num", 5, "--onnx", *files]
    assert compare(*options, "--mask", "on", "--out", "texts.json") == 0
    printed = capsys.readouterr().out
    assert printed.startswith("5 words of train, iter_4.pth, mask on\n")
    rows = [line for line in printed.splitlines() if line.startswith("| ")]
    assert [row.split("|")[1].strip(" -") for row in rows] == [
        "reader",
        "",  # the rule
        "PyTorch",
        "PyTorch, deployed",
        "PyTorch, deployed, bf16",
        "a.onnx, onnxruntime",
        "copy/a.onnx, onnxruntime",
    ]
    content = json.loads(Path("texts.json").read_text())
    assert len(content["texts"]["PyTorch"]) == len(content["labels"]) == len(content["clear"]) == 5
    plain, deployed, *_ = content["rows"]
    assert plain["same"] + plain["same_at_threshold"] == 5
    assert deployed["same"] == plain["same"] == sum(content["clear"])

    assert compare(*options, "--num", 0) == 2
    assert "--num must be at least 1, got 0" in capsys.readouterr().err
    assert compare(*options, "--mask", "off") == 2
    assert "a.onnx reads with the mask on, the model with it off" in capsys.readouterr().err


@pytest.mark.usefixtures("traced_once")
def test_exif_orientation_is_applied_by_both_readers(export, compare, toy_run, tmp_path, capsys):
    """Both rotate the image and read the same text."""
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = np.random.default_rng(0).integers(0, 256, (20, 50, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", exif=exif)
    with LMDBWriter("turned") as writer:
        writer.write(buffer.getvalue(), "word")
    assert export(toy_run / "iter_4.pth", "--out", "a.onnx") == 0
    options = [toy_run / "iter_4.pth", "--data", "turned", "--onnx", "a.onnx"]
    assert compare(*options, "--out", "texts.json") == 0, capsys.readouterr().err
    texts = json.loads(Path("texts.json").read_text())["texts"]
    upright = np.rot90(pixels[..., ::-1], -1)
    (reading,) = lpv_onnx.Reader("a.onnx", tta=False)(np.ascontiguousarray(upright))
    assert texts["PyTorch"] == texts["a.onnx, onnxruntime"] == [reading.text]


def test_undecodable_word_is_named(compare, toy_run, tmp_path, capsys):
    with LMDBWriter("bad") as writer:
        writer.write(b"no image", "word")
    assert compare(toy_run / "iter_4.pth", "--data", "bad") == 2
    said, error = capsys.readouterr().err.splitlines()
    assert said.startswith("bad:image-000000001 is left out: its image (8 bytes) cannot be decoded")
    assert error == "error: bad has no image that can be decoded"


def test_words_beside_an_undecodable_one_are_compared(compare, toy_run, tmp_path, capsys):
    with LMDBWriter("mixed") as writer:
        for content in (b"no image", cv2.imencode(".png", np.zeros((20, 50, 3)))[1].tobytes()):
            writer.write(content, "word")
    assert compare(toy_run / "iter_4.pth", "--data", "mixed") == 0
    printed = capsys.readouterr()
    assert "mixed:image-000000001 is left out: " in printed.err
    assert printed.out.startswith("1 words of mixed, ")


@pytest.mark.usefixtures("traced_once")
def test_file_of_another_model_is_refused_before_words_are_read(
    export, compare, toy_run, toy_data, tmp_path, capsys
):
    checkpoint = toy_run / "iter_4.pth"
    assert export(checkpoint, "--out", "a.onnx") == 0
    model = onnx.load("a.onnx")
    (entry,) = [entry for entry in model.metadata_props if '"parameters"' in entry.value]
    entry.value = re.sub(r'"parameters": \d+', '"parameters": 1234', entry.value)
    onnx.save(model, "b.onnx")
    capsys.readouterr()
    assert compare(checkpoint, "--data", toy_data / "train", "--onnx", "a.onnx", "b.onnx") == 2
    printed = capsys.readouterr()
    assert "error: b.onnx was exported from another model: it has 1,234 param" in printed.err
    assert "reading with" not in printed.err


@pytest.mark.parametrize(
    ("characters", "case_sensitive"), [("0123abc", False), ("abcABC", True), ("ABC", True)]
)
def test_case_counts_if_the_model_has_upper_case(load_tool, characters, case_sensitive):
    classes = ["<BOS>", "<EOS>", *characters]  # names of classes do not count
    dictionary = SimpleNamespace(dict=classes)
    decoder = SimpleNamespace(postprocessor=SimpleNamespace(dictionary=dictionary))
    tool = load_tool("deployment/compare_texts.py")
    protocol = tool.protocol_for(SimpleNamespace(decoder=decoder))
    assert protocol.case_sensitive is case_sensitive


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["none.pth", "--out", "a.onnx"], "there is no checkpoint none.pth"),
        (["{checkpoint}", "--out", "a.pt"], "--out must end in .onnx, got a.pt"),
        (["{checkpoint}"], "required: --out"),
        (["{checkpoint}", "--out", "file/a.onnx"], "file/a.onnx cannot be written"),
        (["{checkpoint}", "--out", "a.onnx", "--config", "none.py"], "no config file none.py"),
        (["bare.pth", "--out", "a.onnx"], "bare.pth has no config inside"),
        (["file", "--out", "a.onnx"], "file cannot be read"),
    ],
)
def test_bad_input_is_rejected(export, toy_run, tmp_path, capsys, options, message):
    (tmp_path / "file").touch()
    torch.save(dict(state_dict={}, meta={}), tmp_path / "bare.pth")
    words = [word.format(checkpoint=toy_run / "iter_4.pth") for word in options]
    assert export(*words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_other_recognisers_are_rejected(export, tmp_path, capsys):
    config = "mmocr::textrecog/crnn/crnn_mini-vgg_5e_mj.py"
    from lpv_mmocr import cli

    from mmengine.registry import init_default_scope
    from mmocr.registry import MODELS

    init_default_scope("mmocr")
    model = MODELS.build(cli.load_config(config).model)
    torch.save(dict(state_dict=model.state_dict(), meta={}), tmp_path / "crnn.pth")
    assert export("crnn.pth", "--config", config, "--out", "a.onnx") == 2
    assert "only an LPV with a CPADecoder can be deployed" in capsys.readouterr().err


def test_missing_extra_is_reported(export, toy_run, monkeypatch, capsys):
    monkeypatch.setattr(onnx_export, "find_spec", lambda name: None if name == "onnx" else name)
    assert export(toy_run / "iter_4.pth", "--out", "a.onnx") == 2
    assert "exporting needs onnx: pip install 'lpv-mmocr[onnx]'" in capsys.readouterr().err
