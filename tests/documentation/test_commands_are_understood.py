"""Tests that programs accept the commands of the docs, which are parsed but not run."""

from __future__ import annotations

import argparse
import importlib
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from lpv_mmocr import cli

import pytest
from documented_code import DOCUMENTS, ROOT, Command, commands, inline_commands

import lpv_mmocr_cli

ALL = [
    command
    for document in DOCUMENTS
    for command in (*commands(document), *inline_commands(document))
]
PLACEHOLDERS = {"CONFIG": "configs/textrecog/lpv/lpv-toy_digits.py", "GPUS": "4"}
OMITTED = {"test.py": ("CONFIG", "CHECKPOINT"), "render_words.py": ("--out", "FOLDER")}
"""Required arguments of a tool, which a sentence about an option may omit."""


@pytest.fixture
def parse(load_tool, monkeypatch):
    """Function that parses the arguments of a tool, and loads the config among them."""
    monkeypatch.chdir(ROOT)

    def parse(script: str, words: Sequence[str]) -> None:
        words = [PLACEHOLDERS.get(word, word) for word in words]
        options = parsed(load_tool(script), words)
        if getattr(options, "config", None):
            cli.load_config(options.config, getattr(options, "cfg_options", None))

    return parse


def parsed(program: ModuleType, words: list[str]) -> argparse.Namespace | None:
    """Return the options of a program, or None if only its name is given, as in a sentence."""
    if words:
        return program.parse_args(words)
    with pytest.raises(SystemExit, match="0"):
        program.parse_args(["--help"])
    return None


@pytest.mark.parametrize("command", ALL, ids=lambda command: f"{command.document}: {command}")
def test_command_is_accepted(command: Command, parse, monkeypatch, capsys):
    for name, value in command.variables:
        monkeypatch.setenv(name, value)
    program, *words = command.words
    script = Path(words[0]).name
    if len(words) > 1 and words[1].startswith("--"):
        words[1:1] = [PLACEHOLDERS.get(word, word) for word in OMITTED.get(script, ())]
    try:
        understood(program, words, parse)
    except SystemExit as end:
        pytest.fail(f"not accepted ({end.code}): {capsys.readouterr().err}")


def understood(program: str, words: list[str], parse) -> None:
    if program == "lpv-mmocr" and words == ["--help"]:
        assert lpv_mmocr_cli.main(words) == 0
    elif program == "lpv-mmocr":
        parse(lpv_mmocr_cli.TOOLS[words[0]][0], words[1:])
    elif program == "python" and words[0] == "-m":
        parsed(importlib.import_module(f"{words[1]}.__main__"), words[2:])
    elif program == "python" and words[0] == "lpv_mmocr_cli.py":  # where nothing is installed
        understood("lpv-mmocr", words[1:], parse)
    elif program == "python":
        assert words[0].startswith("tools/"), "the docs run tools only"
        parse(words[0].removeprefix("tools/"), words[1:])
    elif program == "bash":
        script = ROOT / words[0]
        assert subprocess.run(["/bin/bash", "-n", script]).returncode == 0
        if started := re.fullmatch(r"(dist|slurm)_(train|test)\.sh", script.name):
            launcher, task = started.groups()
            config, *rest = words[1:] if launcher == "dist" else words[3:]
            if launcher == "dist":
                number = rest.pop(0 if task == "train" else 1)
                assert PLACEHOLDERS.get(number, number).isdigit()
            parse(f"{task}.py", (config, *rest))
    elif program == "pip":
        assert words[0] in ("install", "download")
        for extra in re.findall(r"\[([\w,]+)\]", " ".join(words)):
            for name in extra.split(","):
                assert (ROOT / "requirements" / f"{name}.txt").is_file(), f"no extra {name}"
    elif program == "xargs":
        assert words[0] == "-a" and (ROOT / words[1]).is_file()
        assert words[2:4] in (["apt-get", "install"], ["npm", "install"])
    else:
        assert program in ("apt-get", "tensorboard")


def test_the_docs_have_commands():
    # If the blocks were not found, nothing above would be tested.
    assert len(ALL) > 40
    assert {command.words[0] for command in ALL} >= {"python", "bash", "pip", "lpv-mmocr"}


@pytest.mark.parametrize(
    "command",
    [
        "python tools/analysis_tools/get_flops.py CONFIG",
        "python tools/test.py --deploy bf16",
        "python tools/analysis_tools/benchmark_lmdb.py",
        "python tools/dataset_converters/render_words.py --num 10000 --workers 1",
        "bash tools/slurm_train.sh PARTITION JOB_NAME CONFIG",
        "lpv-mmocr info PATH…",
    ],
)
def test_commands_in_sentences_are_found(command):
    assert command in map(str, ALL)


@pytest.mark.parametrize(
    "words",
    [
        ("python", "-m", "lpv_onnx", "lpv.onnx", "word.jpg", "--jsonl"),
        ("python", "tools/analysis_tools/get_flops.py", "CONFIG", "--gpu"),
        ("bash", "tools/slurm_train.sh", "PARTITION", "JOB_NAME", "CONFIG", "--resumed"),
        ("lpv-mmocr", "info", "data", "--sample", "few"),
    ],
)
def test_wrong_option_is_refused(words, parse, capsys):
    with pytest.raises(SystemExit, match="2"):
        understood(words[0], list(words[1:]), parse)
    assert "usage:" in capsys.readouterr().err
