"""``tools/print_config.py``."""

from __future__ import annotations

from mmengine.config import Config


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
