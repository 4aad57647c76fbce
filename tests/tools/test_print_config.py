"""Tests of ``tools/print_config.py``."""

from __future__ import annotations

import errno
import sys
from pathlib import Path

from lpv_mmocr import atomic_files

import pytest
from mmengine.config import Config

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("whole.txt", "must end in .py"),
        ("whole.PY", "must end in .py"),
        ("folder.py", "folder.py is a folder"),
    ],
)
def test_bad_path_to_save_to_is_rejected(load_tool, toy_config, tmp_path, capsys, name, message):
    (tmp_path / "folder.py").mkdir()
    with pytest.raises(SystemExit) as raised:
        load_tool("print_config.py").main([str(toy_config), "--save", str(tmp_path / name)])
    shown = capsys.readouterr()
    assert raised.value.code == 2
    assert message in shown.err and not shown.out


def test_prints_and_saves_everything_inherited(load_tool, toy_config, tmp_path, capsys):
    saved = tmp_path / "whole.py"
    options = ["--cfg-options", "train_cfg.max_iters=77", "--save", str(saved)]
    assert load_tool("print_config.py").main([str(toy_config), *options]) == 0
    printed = capsys.readouterr().out
    assert "LPVSVTREncoder" in printed and "max_iters=77" in printed
    whole = Config.fromfile(saved)
    assert "_base_" not in saved.read_text()
    assert whole.train_cfg.max_iters == 77
    assert whole.model == Config.fromfile(toy_config).model


def test_lines_without_effect_are_refused(load_tool, toy_config, tmp_path, capsys):
    config = tmp_path / "own.py"
    config.write_text(f"_base_ = {str(toy_config)!r}\nmax_iters = 500\n")
    with pytest.raises(SystemExit) as raised:
        load_tool("print_config.py").main([str(config)])
    assert raised.value.code == 2
    assert "max_iters = 500 in" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("my runs/a b.pth", "my runs/a b.pth"),
        ("'my runs/a,b.pth'", "my runs/a,b.pth"),
        ('"a b"', "a b"),
        ("1 2", "1 2"),
        ("a,b", ["a", "b"]),
        ("['a b', \"c,d\"]", ["a b", "c,d"]),
        ("('a b',)", ("a b",)),
        ("[a b, c]", ["ab", "c"]),
        ("(3, 6,6)", (3, 6, 6)),
        ("[(1,2), 3]", [(1, 2), 3]),
        ("1e-3", 1e-3),
        (" 5 ", 5),
        ("None", None),
        ("a=b", "a=b"),
        ("'a','b'", ["a", "b"]),
        ("(old) runs/a.pth", "(old) runs/a.pth"),
        ("'[1], my/a.pth'", "[1], my/a.pth"),
        ("'a(,b.pth'", "a(,b.pth"),
        ("['1','2']", ["1", "2"]),
        ("the 'x y'", "the 'x y'"),
        ("' 5 '", 5),
        ("'5'", 5),
        ("", ""),
        ("[{'a': 1, 'b': [2]}]", [{"a": 1, "b": [2]}]),
        ("{stem}.pth", "{stem}.pth"),
    ],
)
def test_option_keeps_the_blanks_and_commas_of_texts(load_tool, toy_config, capsys, typed, value):
    options = ["--cfg-options", f"load_from={typed}"]
    assert load_tool("print_config.py").main([str(toy_config), *options]) == 0
    cfg = Config.fromstring(capsys.readouterr().out, file_format=".py")
    assert cfg.load_from == value and type(cfg.load_from) is type(value)


def test_last_of_repeated_options_counts(load_tool, toy_config, capsys):
    options = ["work_dir='a b'", "work_dir=x", "load_from=y", "load_from='c d'"]
    assert load_tool("print_config.py").main([str(toy_config), "--cfg-options", *options]) == 0
    cfg = Config.fromstring(capsys.readouterr().out, file_format=".py")
    assert cfg.work_dir == "x" and cfg.load_from == "c d"


def test_later_option_changes_a_part_of_an_earlier_one(load_tool, toy_config, capsys):
    options = ["train_cfg={'max_iters': 5, 'val_interval': 5}", "train_cfg.max_iters=7"]
    assert load_tool("print_config.py").main([str(toy_config), "--cfg-options", *options]) == 0
    cfg = Config.fromstring(capsys.readouterr().out, file_format=".py")
    assert (cfg.train_cfg.max_iters, cfg.train_cfg.val_interval) == (7, 5)


def test_dictionary_changes_the_entries_that_it_names(load_tool, toy_config, capsys):
    option = "model.decoder.glrm={'num_layers': 3}"
    assert load_tool("print_config.py").main([str(toy_config), "--cfg-options", option]) == 0
    cfg = Config.fromstring(capsys.readouterr().out, file_format=".py")
    before = Config.fromfile(toy_config).model.decoder.glrm
    assert cfg.model.decoder.glrm == {**before, "num_layers": 3}


def test_nothing_but_the_config_is_printed(run_tool, tmp_path):
    """MMEngine logs which environment variables a config uses."""
    result = run_tool(
        sys.executable,
        ROOT / "tools" / "print_config.py",
        "lpv_mmocr::textrecog/lpv/lpv-mini_own_data.py",
        LPV_TRAIN_DATA="data/mine",
    )
    assert result.returncode == 0, result.stderr
    assert "LPV_TRAIN_DATA" in result.stderr
    assert Config.fromstring(result.stdout, ".py").train_dataloader.dataset.ann_file == "data/mine"


def test_full_disk_keeps_an_earlier_config(load_tool, toy_config, tmp_path, monkeypatch):
    saved = tmp_path / "whole.py"
    saved.write_text("x = 1\n")
    monkeypatch.setattr(atomic_files.os, "fsync", fail)
    with pytest.raises(SystemExit):
        load_tool("print_config.py").main([str(toy_config), "--save", str(saved)])
    assert saved.read_text() == "x = 1\n"


def fail(descriptor: int) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")
