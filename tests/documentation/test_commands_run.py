"""The commands of every document, one after another, carried out in a folder with small data.

Numbers that would take hours are made small, nothing else is changed.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest
import sandbox
from documented_code import DOCUMENTS, Command, commands

import lpv_mmocr_cli

NOT_RUN = {
    r"^bash tools/(quickstart|run_tests)\.sh": "CI runs both",
    r"^bash tools/train_synth": "half an hour of a GPU; tests/tools/test_train_synth.py",
    r"^bash tools/dist_": "several GPUs; two processes: tests/tools/test_dist_scripts.py",
    r"^(pip|apt-get|xargs) ": "installs into this machine",
    r"^tensorboard": "a server",
    r"^lpv-mmocr demo": "serves until it is told to end: tests/tools/test_demo.py",
    r"^lpv-mmocr read -( |$)": "a list on standard input: tests/tools/test_read.py",
    r"^python -m lpv_onnx": "a process of its own: tests/test_lpv_onnx.py",
    r"Union14M-L": "a download; formats: tests/datasets/test_label_files.py",
    r"benchmark(_augment|_lmdb)?\.py": "takes minutes; tests/tools/test_benchmark.py",
    r"measure_boxes\.py": "screens all fonts of the machine; tests/tools/test_measure_boxes.py",
    r"--what strip": "needs a trained model; tests/tools/test_draw_attention.py",
    r"pack_fonts\.py": "screens all fonts of the machine; tests/rendering/test_fonts.py",
    r"--fonts fontpack": "fonts of another machine",
    r"chinese_words\.txt": "needs a Chinese font",
}
"""What is only parsed (test_commands_are_understood.py), and why."""

CONFIGS = {
    "train.py": "configs/textrecog/lpv/lpv-tiny_own_data.py",
    "test.py": "configs/textrecog/lpv/lpv-tiny_stage2_10e_st_mj.py",
}
"""What CONFIG stands for."""
PLACEHOLDERS = {
    "CHECKPOINT": "lpv-tiny.pth",
    "PATH/iter_5000.pth": "work_dirs/lpv-tiny_own_data/iter_2.pth",
    "load_from=runs/start/iter_1200.pth": "load_from=runs/start/iter_2.pth",
}
ONE_PROCESS = dict(num_workers=0, persistent_workers=False)
SHORT_RUN = dict(
    train_dataloader=dict(batch_size=2, **ONE_PROCESS),
    val_dataloader=dict(batch_size=50, **ONE_PROCESS),
    train_cfg=dict(max_iters=2, val_interval=2),
    default_hooks=dict(checkpoint=dict(interval=2), logger=dict(interval=1)),
)
EVALUATION = dict(test_dataloader=ONE_PROCESS)
SMALL_NUMBERS = {"--num": "8", "--workers": "1"}


def reason_not_to_run(command: Command) -> str | None:
    """Why a command is parsed only, if it is."""
    return next((why for part, why in NOT_RUN.items() if re.search(part, str(command))), None)


def shortened(script: str, words: list[str]) -> list[str]:
    """Arguments with which a tool is done in seconds."""
    meant = {"CONFIG": CONFIGS.get(script), **PLACEHOLDERS}
    words = [meant.get(word, word) for word in words]
    if script == "train.py":
        return with_options(words, options(SHORT_RUN))
    if script == "test.py":
        return with_options(words, options(EVALUATION))
    for option, value in SMALL_NUMBERS.items():
        if option in words:
            words[words.index(option) + 1] = value
    return words


def options(changes: dict, prefix: str = "") -> list[str]:
    """Changes of a config as ``--cfg-options`` takes them."""
    found = []
    for key, value in changes.items():
        nested = isinstance(value, dict)
        found += options(value, f"{prefix}{key}.") if nested else [f"{prefix}{key}={value}"]
    return found


def with_options(words: list[str], added: list[str]) -> list[str]:
    """Arguments with further entries of ``--cfg-options``, which win over earlier ones."""
    if "--cfg-options" not in words:
        return [*words, "--cfg-options", *added]
    end = words.index("--cfg-options") + 1
    while end < len(words) and "=" in words[end]:
        end += 1
    return [*words[:end], *added, *words[end:]]


@pytest.fixture
def checkout(tmp_path, monkeypatch, load_tool) -> Path:
    sandbox.fill(tmp_path, load_tool("model_converters/official_to_mmocr.py").main)
    monkeypatch.chdir(tmp_path)
    # A log handler of an earlier run in this process holds on to a stream that pytest has closed.
    monkeypatch.setattr(logging, "raiseExceptions", False)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("document", [name for name in DOCUMENTS if commands(name)])
def test_commands(document, checkout, load_tool, monkeypatch, capsys):
    runnable = [command for command in commands(document) if not reason_not_to_run(command)]
    for command in runnable:
        program, *words = command.words
        script, words = (
            (lpv_mmocr_cli.TOOLS[words[0]][0], words[1:])
            if program == "lpv-mmocr"
            else (words[0].removeprefix("tools/"), words[1:])
        )
        with monkeypatch.context() as context:
            for name, value in command.variables:
                context.setenv(name, value)
            context.chdir(checkout / command.folder)
            try:
                status = load_tool(script).main(shortened(script, words)) or 0
            except SystemExit as end:
                status = end.code
        assert status == 0, f"{command}\n{capsys.readouterr().err}"


def test_every_reason_is_needed():
    everything = [str(command) for document in DOCUMENTS for command in commands(document)]
    for part in NOT_RUN:
        assert any(re.search(part, command) for command in everything), f"no command has {part}"
