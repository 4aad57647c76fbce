"""Tests that the text of a config is formatted only once."""

from __future__ import annotations

from pathlib import Path

from lpv_mmocr.engine import config_format

import pytest
from mmengine.config import Config
from mmengine.config import config as mmengine_config

if not hasattr(mmengine_config, "FormatCode"):
    pytest.skip("this fork of MMEngine formats elsewhere", allow_module_level=True)

TOY = Path(__file__).parents[2] / "configs" / "textrecog" / "lpv" / "lpv-toy_digits.py"


@pytest.fixture
def formatted(monkeypatch) -> list[str]:
    """Return the list of texts that MMEngine's formatter has processed."""
    texts = []
    original = mmengine_config.FormatCode.__wrapped__

    def format_code(text, **options):
        texts.append(text)
        return original(text, **options)

    monkeypatch.setattr(mmengine_config, "FormatCode", format_code)
    config_format.install()
    return texts


def test_the_same_text_is_formatted_once(formatted):
    cfg = Config.fromfile(TOY)
    first = cfg.pretty_text
    assert cfg.pretty_text == Config.fromfile(TOY).pretty_text == first
    assert len(formatted) == 1
    cfg.train_cfg.max_iters += 1
    assert cfg.pretty_text != first
    assert len(formatted) == 2


def test_mmengine_without_the_function_is_left_alone(monkeypatch):
    monkeypatch.delattr(mmengine_config, "FormatCode")
    config_format.install()
    assert not hasattr(mmengine_config, "FormatCode")


def test_text_equals_that_of_mmengine(formatted, monkeypatch):
    cfg = Config.fromfile(TOY)
    kept = cfg.pretty_text
    original = mmengine_config.FormatCode.__wrapped__
    monkeypatch.setattr(mmengine_config, "FormatCode", original)
    assert cfg.pretty_text == kept
    assert kept.count("\n") > 100
