"""Every command of the docs is taken by the program that it calls. None is carried out here."""

from __future__ import annotations

import importlib.util
import re
import subprocess

from lpv_mmocr import cli

import pytest
from documented_code import DOCUMENTS, ROOT, Command, commands

import lpv_mmocr_cli

ALL = [command for document in DOCUMENTS for command in commands(document)]
PLACEHOLDERS = {"CONFIG": "configs/textrecog/lpv/lpv-toy_digits.py"}


@pytest.fixture
def parse(load_tool, monkeypatch):
    """Parses the arguments of a tool, and reads the config among them."""
    monkeypatch.chdir(ROOT)

    def parse(script: str, words: tuple[str, ...]) -> None:
        options = load_tool(script).parse_args([PLACEHOLDERS.get(word, word) for word in words])
        if getattr(options, "config", None):
            cli.load_config(options.config, getattr(options, "cfg_options", None))

    return parse


@pytest.mark.parametrize("command", ALL, ids=lambda command: f"{command.document}: {command}")
def test_command(command: Command, parse, monkeypatch, capsys):
    for name, value in command.variables:
        monkeypatch.setenv(name, value)
    program, *words = command.words
    try:
        understood(program, words, parse)
    except SystemExit as end:
        pytest.fail(f"not accepted ({end.code}): {capsys.readouterr().err}")


def understood(program: str, words: list[str], parse) -> None:
    if program == "lpv-mmocr":
        parse(lpv_mmocr_cli.TOOLS[words[0]][0], words[1:])
    elif program == "python" and words[0] == "-m":
        assert importlib.util.find_spec(words[1]), f"there is no module {words[1]}"
    elif program == "python":
        assert words[0].startswith("tools/"), "the docs run tools only"
        parse(words[0].removeprefix("tools/"), words[1:])
    elif program == "bash":
        script = ROOT / words[0]
        assert subprocess.run(["/bin/bash", "-n", script]).returncode == 0
        if started := re.fullmatch(r"dist_(train|test)\.sh", script.name):
            config, *rest = words[1:]
            number = rest.pop(0 if started[1] == "train" else 1)
            assert number.isdigit()
            parse(f"{started[1]}.py", (config, *rest))
    elif program == "pip":
        assert words[0] == "install"
        for extra in re.findall(r"\[([\w,]+)\]", " ".join(words)):
            for name in extra.split(","):
                assert (ROOT / "requirements" / f"{name}.txt").is_file(), f"no extra {name}"
    elif program == "xargs":
        assert words[0] == "-a" and (ROOT / words[1]).is_file()
        assert words[2:4] == ["apt-get", "install"]
    else:
        assert program in ("apt-get", "tensorboard")


def test_the_docs_have_commands():
    # If the blocks were not found, nothing above would be tested.
    assert len(ALL) > 40
    assert {command.words[0] for command in ALL} >= {"python", "bash", "pip", "lpv-mmocr"}
