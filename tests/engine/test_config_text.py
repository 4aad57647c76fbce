"""Configs inside checkpoints are data, or are left out."""

from __future__ import annotations

from pathlib import Path

from lpv_mmocr.engine import load_checkpoint
from lpv_mmocr.engine.config_text import code_in_config

import pytest
import torch
from mmengine.config import Config

ZOO = sorted((Path(__file__).parents[2] / "configs" / "textrecog" / "lpv").glob("[!_]*.py"))


@pytest.mark.parametrize("path", ZOO, ids=lambda path: path.stem)
def test_what_mmengine_writes_is_data(path):
    assert code_in_config(Config.fromfile(path).pretty_text) is None


@pytest.mark.parametrize(
    "text",
    [
        "a = 1",
        "a = -1.5e-3\nb = dict(c=[1, (2, 'x'), {'d': None}], e={1, 2})",
        "model = dict(\n    type='LPV',\n    **{'odd key': True})",
        "",
    ],
)
def test_data(text):
    assert code_in_config(text) is None


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("import os", "line 1: import os"),
        ("a = 1\nb = __import__('os')", "line 2: __import__('os')"),
        ("a = dict(b=[open('x', 'w')])", "line 1: open('x', 'w')"),
        ("a = dict(b=dict.__subclasses__)", "dict.__subclasses__"),
        ("a = [x for x in (1, 2)]", "[x for x in (1, 2)]"),
        ("a = f'{1}'", "f'{1}'"),
        ("a = lambda: 1", "lambda"),
        ("a = dict(dict(b=eval('1')))", "eval('1')"),
        ("a = {**vars()}", "vars()"),
        ("_base_ = 'elsewhere.py'", "another file"),
        ("a.b = 1", "a.b = 1"),
        ("print(1)", "print(1)"),
        ("a = (", "SyntaxError"),
    ],
)
def test_code(text, place):
    assert place in code_in_config(text)


def test_code_is_left_out_and_never_run(tmp_path):
    marker = tmp_path / "ran"
    program = f"open({str(marker)!r}, 'w')\nmodel = dict(type='LPV')\n"
    content = dict(
        meta=dict(cfg=program, seed=1),
        message_hub=dict(runtime_info=dict(cfg=program), log_scalars={}, resumed_keys={}),
        state_dict=dict(weight=torch.zeros(1)),
    )
    torch.save(content, tmp_path / "hostile.pth")
    checkpoint = load_checkpoint(tmp_path / "hostile.pth")
    assert checkpoint["meta"] == dict(seed=1)
    assert "cfg" not in checkpoint["message_hub"]["runtime_info"]
    assert "weight" in checkpoint["state_dict"]
    assert not marker.exists()


def test_plain_config_stays(tmp_path):
    text = Config(dict(model=dict(type="LPV", depths=(1, 2)))).pretty_text
    torch.save(dict(meta=dict(cfg=text), state_dict={}), tmp_path / "plain.pth")
    assert load_checkpoint(tmp_path / "plain.pth")["meta"]["cfg"] == text
