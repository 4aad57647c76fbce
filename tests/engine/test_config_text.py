"""Tests that configs inside checkpoints are read as data or omitted."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path

from lpv_mmocr.engine import load_checkpoint
from lpv_mmocr.engine.config_text import ConfigTextError, parse_config

import pytest
import torch
from mmengine.config import Config

ZOO = sorted((Path(__file__).parents[2] / "configs" / "textrecog" / "lpv").glob("[!_]*.py"))


@pytest.mark.parametrize("path", ZOO, ids=lambda path: path.stem)
def test_texts_written_by_mmengine_are_parsed(path):
    text = Config.fromfile(path).pretty_text
    ran = Config.fromstring(text, file_format=".py").to_dict()
    assert {name: repr(value) for name, value in parse_config(text).items()} == {
        name: repr(value) for name, value in ran.items()
    }


def test_literals_and_dict_calls_are_parsed():
    text = "a = b = dict(c=[1, (2, 'x'), {'d': None}], e={1, 2}, **{'odd key': -1.5e-3})\na = True"
    expected = {"c": [1, (2, "x"), {"d": None}], "e": {1, 2}, "odd key": -1.5e-3}
    assert parse_config(text) == dict(a=True, b=expected)
    assert parse_config("a = {1: 'x', **{2: 'y'}, **dict(z=3)}") == dict(a={1: "x", 2: "y", "z": 3})
    assert parse_config("") == {}


@pytest.mark.parametrize(
    "text",
    [
        "custom_imports = dict(allow_failed_imports=False, imports=['lpv_mmocr', 'mmdet.models'])",
        "custom_imports = {'imports': 'pytest'}",  # imported already
        "default_scope = 'mmocr'",
        "default_scope = None",
    ],
)
def test_imports_that_run_nothing_new_are_accepted(text):
    assert parse_config(text)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("import os", "line 1: import os"),
        ("a = 1\nb = __import__('os')", "line 2: __import__('os')"),
        ("a = dict(b=[open('x', 'w')])", "line 1: open('x', 'w')"),
        ("a = dict(b=dict.__subclasses__)", "dict.__subclasses__"),
        ("a = {dict.__subclasses__: 1}", "dict.__subclasses__"),
        ("a = [x for x in (1, 2)]", "[x for x in (1, 2)]"),
        ("a = f'{1}'", "f'{1}'"),
        ("a = lambda: 1", "lambda"),
        ("a = dict(b=dict(c=eval('1')))", "eval('1')"),
        ("a = dict(dict(b=1))", "dict(dict(b=1))"),
        ("a = dict([['type', 'os.system']])", "dict([['type', 'os.system']])"),
        ("a = {**vars()}", "vars()"),
        ("a = {**[1]}", "{**[1]}"),
        # MMEngine treats None as an ordinary key and keeps the entries before it.
        ("a = {'b': {'type': 'os.system'}, None: {'b': {}}}", "None: {'b': {}}"),
        ("a = {(1, 2): 3}", "{(1, 2): 3}"),
        ("a = b'open(1)'", "b'open(1)'"),
        ("a = 1j", "1j"),
        ("a = ...", "..."),
        ("_base_ = 'elsewhere.py'", "another file"),
        ("a = _base_ = 'elsewhere.py'", "another file"),
        ("a.b = 1", "a.b = 1"),
        ("print(1)", "print(1)"),
        ("a = (", "SyntaxError"),
        ("a = {[]: 1}", "{[]: 1}"),
        ("a = {[]}", "TypeError"),
        ("# {{$X:__import__('os')}}\na = {{'$X:__import__os'}}", "{{"),
        ("custom_imports = dict(imports=['lpv_mmocr', 'antigravity'])", ".imports[1] = 'antigrav"),
        ("custom_imports = {'imports': 'antigravity'}", "custom_imports.imports = 'antigravity'"),
        ("custom_imports = dict(imports=[['this']])", "custom_imports.imports[0][0] = 'this'"),
        ("default_scope = 'antigravity'", "default_scope = 'antigravity'"),
    ],
)
def test_code_is_refused(text, place):
    with pytest.raises(ConfigTextError, match=re.escape(place)):
        parse_config(text)


def test_module_blocked_from_import_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "blocked", None)
    with pytest.raises(ConfigTextError, match="blocked"):
        parse_config("default_scope = 'blocked'")
    monkeypatch.setitem(sys.modules, "blocked", types.ModuleType("blocked"))
    assert parse_config("default_scope = 'blocked'")


def test_code_is_omitted_and_never_run(tmp_path):
    marker = tmp_path / "ran"
    program = f"open({str(marker)!r}, 'w')\nmodel = dict(type='LPV')\n"
    content = dict(
        meta=dict(cfg=program, config=program, seed=1),
        message_hub=dict(
            # Files that a resumed run deletes in favour of a better one.
            runtime_info=dict(
                cfg=program,
                best_ckpt=str(tmp_path / "photos.pth"),
                best_ckpt_a="/moved/since/best_a.pth",
                best_ckpt_b=str(tmp_path / "best_photos"),
                best_ckpt_c=str(tmp_path / "best_c_iter_4.pth"),
                best_ckpt_d=str(tmp_path / "best_gone.pth"),
                last_ckpt="http://localhost:9/x",
                keep_ckpt_ids=[2, "x.d/../../victim"],
                outdated_ckpt_ids=[2],
            ),
            log_scalars={},
            resumed_keys={"best_ckpt": True, "best_ckpt_c": True},
        ),
        state_dict=dict(weight=torch.zeros(1)),
    )
    for name in ("best_a.pth", "best_c_iter_4.pth", "photos.pth", "best_photos"):
        (tmp_path / name).touch()
    torch.save(content, tmp_path / "hostile.pth")
    checkpoint = load_checkpoint(tmp_path / "hostile.pth")
    assert checkpoint["meta"] == dict(seed=1)
    assert checkpoint["message_hub"]["runtime_info"] == dict(
        best_ckpt_a=str(tmp_path / "best_a.pth"),  # only files next to this one
        best_ckpt_c=str(tmp_path / "best_c_iter_4.pth"),
        outdated_ckpt_ids=[2],
    )
    assert checkpoint["message_hub"]["resumed_keys"] == {"best_ckpt_c": True}
    assert "weight" in checkpoint["state_dict"]
    assert not marker.exists()


def test_plain_config_is_kept(tmp_path):
    text = Config(dict(model=dict(type="LPV", depths=(1, 2)))).pretty_text
    torch.save(dict(meta=dict(cfg=text), state_dict={}), tmp_path / "plain.pth")
    assert load_checkpoint(tmp_path / "plain.pth")["meta"]["cfg"] == text
