"""The converter as a user types it, on files as the authors' code writes them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from lpv_mmocr.models.released import convert_state_dict, recognise_layout, rename

import pytest
import torch
from lpv_cases import SIZES, build_size, released_shapes, released_state_dict
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmocr.registry import MODELS

ROOT = Path(__file__).parents[2]
TOOL = ROOT / "tools" / "model_converters" / "official_to_mmocr.py"


def _run(*arguments: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, str(TOOL), *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@pytest.fixture(scope="module")
def tiny_state() -> dict[str, torch.Tensor]:
    return released_state_dict("tiny")


@pytest.mark.parametrize("size", SIZES)
def test_layout_and_names_of_every_size(size):
    state = released_state_dict(size)
    layout = recognise_layout(state)
    config = layout.model_config("x", with_mask=True)
    expected = dict(SIZES[size])
    assert config["decoder"]["glrm"] == expected.pop("glrm")
    expected.pop("trainable")
    assert {key: config["encoder"][key] for key in expected} == expected
    assert (layout.num_characters, layout.num_positions, layout.num_stages) == (36, 27, 3)
    assert convert_state_dict(state).keys() == build_size(size, True).state_dict().keys()


def test_every_released_name_has_a_place():
    for size in SIZES:
        names = [n.removeprefix("str_model.") for n in released_shapes(size)]
        trained = [n for n in names if not n.endswith((".mask", ".pe"))]
        assert len({rename(name) for name in trained}) == len(trained)


@pytest.mark.parametrize("prefix", ["", "module.", "bare"])
def test_command_writes_a_checkpoint_that_needs_nothing_else(tmp_path, tiny_state, prefix):
    state = tiny_state
    if prefix == "bare":
        state = {name.removeprefix("str_model."): value for name, value in state.items()}
    elif prefix:
        state = {prefix + name: value for name, value in state.items()}
    torch.save(state, tmp_path / "released.pth")
    result = _run(tmp_path / "released.pth", tmp_path / "new" / "lpv.pth")
    assert result.returncode == 0, result.stderr
    assert "8,109,842 trainable parameters" in result.stdout

    checkpoint = torch.load(tmp_path / "new" / "lpv.pth", weights_only=True)
    cfg = Config.fromstring(checkpoint["meta"]["cfg"], file_format=".py")
    assert cfg.model.decoder.with_mask
    init_default_scope("mmocr")
    model = MODELS.build(cfg.model)
    model.load_state_dict(checkpoint["state_dict"], strict=True)
    # Rows move from [GO], [s], characters to characters, start, end.
    ours, theirs = model.decoder.classifiers[0].weight, tiny_state["str_model.cls.0.weight"]
    assert torch.equal(ours[:36], theirs[2:])
    assert torch.equal(ours[36:], theirs[:2])


def test_no_mask_and_other_image_size(tmp_path):
    state = released_state_dict("base")
    torch.save(dict(state_dict=state), tmp_path / "released.pth")
    result = _run(tmp_path / "released.pth", tmp_path / "lpv.pth", "--no-mask")
    assert result.returncode == 0, result.stderr
    assert "35,132,610 trainable parameters" in result.stdout
    checkpoint = torch.load(tmp_path / "lpv.pth", weights_only=True)
    cfg = Config.fromstring(checkpoint["meta"]["cfg"], file_format=".py")
    assert not cfg.model.decoder.with_mask
    steps = cfg.test_dataloader.dataset.pipeline
    assert [tuple(step.scale) for step in steps if step.type == "Resize"] == [(160, 48)]


def _damaged(tiny_state, damage: str) -> object:
    state = dict(tiny_state)
    if damage == "missing":
        del state["str_model.attention.1.project.bias"]
    elif damage == "left over":
        state["str_model.head.weight"] = torch.zeros(3)
    elif damage == "foreign":
        state = {"conv1.weight": torch.zeros(3, 3)}
    elif damage == "no weights":
        state = {"epoch": 3}
    elif damage == "other mask":
        name = "str_model.backbone.blocks1.1.mixer.mask"
        state[name] = torch.zeros_like(state[name])
    elif damage == "characters":
        for stage in range(3):
            state[f"str_model.cls.{stage}.weight"] = torch.zeros(50, 256)
            state[f"str_model.cls.{stage}.bias"] = torch.zeros(50)
    return state


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("missing", "decoder.attentions.1.query.bias missing"),
        ("left over", "head.weight is left over"),
        ("foreign", "backbone.blocks1.0.mixer.mask is missing"),
        ("no weights", "holds no weights"),
        ("other mask", "backbone.blocks1.1.mixer.mask is not what a released LPV computes"),
        ("characters", "has 48 characters, but none are given"),
    ],
)
def test_foreign_and_damaged_files_are_named(tmp_path, tiny_state, damage, message, capsys):
    sys.path.insert(0, str(TOOL.parent))
    try:
        from official_to_mmocr import main
    finally:
        sys.path.pop(0)
    torch.save(_damaged(tiny_state, damage), tmp_path / "released.pth")
    assert main([str(tmp_path / "released.pth"), str(tmp_path / "out.pth")]) == 2
    error = capsys.readouterr().err
    assert "released.pth" in error
    assert message in error
    assert not (tmp_path / "out.pth").exists()


def test_missing_and_truncated_files(tmp_path, tiny_state):
    torch.save(tiny_state, tmp_path / "whole.pth")
    (tmp_path / "half.pth").write_bytes((tmp_path / "whole.pth").read_bytes()[:100_000])
    for name in ("half.pth", "absent.pth"):
        result = _run(tmp_path / name, tmp_path / "out.pth")
        assert result.returncode == 2
        assert name in result.stderr
        assert "Traceback" not in result.stderr
