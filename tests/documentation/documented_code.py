"""Commands and Python code of the README and the docs.

Bash itself runs the shell blocks, with programs that only record how they were called, so that
variables, loops and continued lines have their usual meaning.
"""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = (
    "README.md",
    "checkpoints/README.md",
    "configs/textrecog/lpv/README.md",
    *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md")),
)
PROGRAMS = ("python", "bash", "pip", "lpv-mmocr", "apt-get", "xargs", "tensorboard")
"""Programs that the docs may call. Any other one is an error."""

_INLINE = re.compile(
    r"((?:[A-Z]\w*=\S+ )*)((?:python|bash|lpv-mmocr) \S.*|pip install .+|\S+\.(?:py|sh) \S.*)"
)
"""Inline command, optionally preceded by variables: program and arguments."""

# A #! line cannot have blanks in the interpreter's path. Python skips the second line, a text.
_RECORDER = """\
#!/bin/sh
"exec" "{python}" "-IS" "$0" "$@"
import json, os, sys
call = dict(words=[os.path.basename(sys.argv[0]), *sys.argv[1:]], folder=os.getcwd())
call["variables"] = {{k: v for k, v in os.environ.items() if k.startswith("LPV_")}}
with open({log!r}, "a") as log:
    print(json.dumps(call), file=log)
"""


@dataclass(frozen=True)
class Command:
    """A command as bash calls it.

    Attributes:
        document: Document that contains it.
        words: Program and arguments.
        folder: Working folder, relative to the checkout.
        variables: Environment variables whose names begin with ``LPV_``.
    """

    document: str
    words: tuple[str, ...]
    folder: str
    variables: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return " ".join(self.words)


def blocks(document: str, *languages: str) -> list[str]:
    """Return the fenced blocks of a document that are marked with one of the languages."""
    text = (ROOT / document).read_text(encoding="utf-8")
    found = re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [body for language, body in found if language in languages]


@cache
def commands(document: str) -> tuple[Command, ...]:
    """Return all commands in the shell blocks of a document, in order."""
    found: list[Command] = []
    for block in blocks(document, "bash", "shell", "console", "sh"):
        found += _record(document, block)
    return tuple(found)


@cache
def inline_commands(document: str) -> tuple[Command, ...]:
    """Return the commands within sentences and tables, in order.

    A tool may be written without ``python`` and without its folder. The name of a tool alone is
    not a command, nor is a pattern with ``*`` for several.
    """
    found: list[Command] = []
    for token in tokens(ROOT / document):
        match = _INLINE.fullmatch(token.content) if token.type == "code_inline" else None
        if match and "*" not in token.content:
            variables, command = match.groups()
            if command.split()[0].endswith((".py", ".sh")):
                [path] = (ROOT / "tools").rglob(Path(command.split()[0]).name)
                program = "python" if path.suffix == ".py" else "bash"
                rest = command.partition(" ")[2]
                command = f"{program} {path.relative_to(ROOT)} {rest}"
            found += _record(document, variables + command)
    return tuple(found)


def tokens(file: Path) -> list[Token]:
    """Return all tokens of a document, including inline ones."""
    parsed = MarkdownIt("gfm-like", {"linkify": False}).parse(file.read_text(encoding="utf-8"))
    return [inner for token in parsed for inner in (token, *(token.children or ()))]


def _record(document: str, script: str) -> list[Command]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "checkout").resolve()
        (folder / "data").mkdir(parents=True)
        programs, log = Path(name, "bin"), Path(name, "log")
        programs.mkdir()
        log.touch()
        for program in PROGRAMS:
            recorder = programs / program
            recorder.write_text(_RECORDER.format(python=sys.executable, log=str(log)))
            recorder.chmod(recorder.stat().st_mode | stat.S_IXUSR)
        result = subprocess.run(
            ["/bin/bash", "-eu", "-c", script],
            cwd=folder,
            env={"PATH": str(programs), "LANG": os.environ.get("LANG", "C.UTF-8")},
            capture_output=True,
            text=True,
        )
        if result.returncode:
            raise ValueError(f"bash cannot run a block of {document}: {result.stderr}\n{script}")
        calls = [json.loads(line) for line in log.read_text().splitlines()]
        return [
            Command(
                document,
                tuple(call["words"]),
                str(Path(call["folder"]).resolve().relative_to(folder)),
                tuple(sorted(call["variables"].items())),
            )
            for call in calls
        ]
