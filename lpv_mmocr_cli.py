"""The ``lpv-mmocr`` command: one entry point for all tools, and the options that they share.

This module is outside the package because importing ``lpv_mmocr`` imports PyTorch and MMOCR, which
``--help`` should not have to wait for. For the same reason, tools parse their options before they
import the package.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import importlib.metadata
import importlib.util
import re
import runpy
import sys
import types
from collections.abc import Sequence
from pathlib import Path

TOOLS = {
    "read": ("read.py", "read images of words"),
    "demo": ("demo.py", "try a model in the browser"),
    "train": ("train.py", "train a model"),
    "eval": ("test.py", "evaluate a checkpoint and save its predictions"),
    "config": ("print_config.py", "print a config with everything it inherits"),
    "export": ("deployment/export_onnx.py", "export a checkpoint to ONNX, to run without PyTorch"),
    "convert": ("model_converters/official_to_mmocr.py", "convert the authors' weights"),
    "render": ("dataset_converters/render_words.py", "render words for training into an LMDB"),
    "to-lmdb": ("dataset_converters/labels_to_lmdb.py", "store images and labels in an LMDB"),
    "from-lmdb": (
        "dataset_converters/lmdb_to_labels.py",
        "write an LMDB's images and labels as files",
    ),
    "info": ("analysis_tools/lmdb_info.py", "inspect an LMDB"),
    "benchmark": ("analysis_tools/benchmark.py", "compare the speed of models"),
    "check": (
        "analysis_tools/check_installation.py",
        "check that all works on this machine",
    ),
}
"""Commands by name, each with its script below ``tools`` and a description."""

LAUNCHERS = ("none", "pytorch", "slurm", "mpi")
"""Launchers, as in ``lpv_mmocr.engine.distributed``."""

DTYPES = ("fp32", "bf16", "fp16")
"""Float types of deployed models, as in ``lpv_mmocr.deploy``."""

LABEL_FORMATS = ("tsv", "txt", "jsonl", "json")
"""Formats of label files, as in ``lpv_mmocr.datasets.label_files``."""

EXIT_INTERRUPTED = 130

EXAMPLES = """\
examples:
  lpv-mmocr read words/ --json > readings.jsonl
  lpv-mmocr demo --weights lpv-mini
  lpv-mmocr train lpv_mmocr::textrecog/lpv/lpv-tiny_stage1_10e_st_mj.py --work-dir runs/tiny
  lpv-mmocr eval CONFIG CHECKPOINT --save-preds
  lpv-mmocr export lpv-tiny --out lpv-tiny.onnx
  lpv-mmocr config CONFIG --cfg-options train_dataloader.batch_size=32
  lpv-mmocr render --out data/words --num 100000 --workers 8
  lpv-mmocr to-lmdb words/labels.tsv --out data/words
  lpv-mmocr info data/words --sheet words.png
"""


def usage() -> str:
    """Return the text of ``lpv-mmocr --help``."""
    width = max(map(len, TOOLS))
    commands = "\n".join(f"  {name:<{width}}  {what}" for name, (_, what) in TOOLS.items())
    return (
        "usage: lpv-mmocr [-h] [--version] COMMAND ...\n\n"
        "Scene text recognition with LPV in MMOCR.\n\n"
        f"commands (each with its own --help):\n{commands}\n\n{EXAMPLES}"
    )


def tools_folder() -> Path:
    """Find the tools: next to the package in a checkout, or inside the installed package.

    Raises:
        FileNotFoundError: If there are none in either place.
    """
    spec = importlib.util.find_spec("lpv_mmocr")  # finds the package without running it
    package = Path(spec.origin).parent if spec and spec.origin else Path(__file__).parent
    for folder in (package / ".mim" / "tools", package.parent / "tools"):
        if (folder / "train.py").is_file():
            return folder
    raise FileNotFoundError(f"no tools in or next to {package}; reinstall lpv-mmocr")


def version() -> str:
    """Return the version of the installed package, or of the checkout."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version("lpv-mmocr")
    return runpy.run_path(str(Path(__file__).parent / "lpv_mmocr" / "version.py"))["__version__"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: Command-line arguments without the program name (default: those of the process).

    Returns:
        Exit status: 2 for an unknown command or missing tools, 130 if interrupted. Tools exit with
        their own.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] in (["-h"], ["--help"]):
        print(usage(), end="")
        return 0
    if arguments[:1] == ["--version"]:
        print(f"lpv-mmocr {version()}")
        return 0
    if not arguments or arguments[0] not in TOOLS:
        named = f"unknown command {arguments[0]!r}" if arguments else "no command given"
        print(f"{usage()}\nerror: {named}; choose from {', '.join(TOOLS)}", file=sys.stderr)
        return 2
    name, *rest = arguments
    try:
        script = tools_folder() / TOOLS[name][0]
    except FileNotFoundError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    sys.argv = [f"lpv-mmocr {name}", *rest]
    try:
        run_script(script)
    except KeyboardInterrupt:  # while the tool runs its imports
        print("interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    return 0


def new_parser(description: str | None) -> argparse.ArgumentParser:
    """Create a parser with the option that all tools share.

    Args:
        description: Docstring of the tool, shown verbatim by ``--help``.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--traceback", action="store_true", help="show the full traceback of an error"
    )
    return parser


class ConfigOptions(argparse.Action):
    """MMEngine's ``DictAction``, with dictionaries, and usage errors for what it cannot parse.

    A text keeps its blanks, which MMEngine removes (in lists only if all is quoted), and a quoted
    text its commas, which divide lists: ``load_from="'my runs/a,b.pth'"``. Of entries with the
    same key, the last one counts.
    """

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: list[str],
        option_string: str | None = None,
    ) -> None:
        """Parse the entries."""
        wrong = [value for value in values if "=" not in value]
        if wrong:
            parser.error(f"{option_string} takes KEY=VALUE, got {' '.join(wrong)}")
        options = {}
        for key, raw in dict(value.split("=", 1) for value in values).items():
            try:
                options[key] = _parsed(raw.strip())
            except ValueError as error:
                parser.error(f"{option_string} takes {error}, got {key}={raw}")
        setattr(namespace, self.dest, options)


def _parsed(raw: str) -> object:
    """Return the value of an entry.

    Raises:
        ValueError: If it is a call, or a dictionary with bare words, or a bracket has no partner.
    """
    value = _literal(raw)
    if value is not None:
        return value
    if re.fullmatch(r"\{.*:.*\}", raw, re.DOTALL):
        raise ValueError(
            "dictionaries as in Python, with quoted keys and texts, such as {'num_layers': 2}"
        )
    import lpv_mmocr  # noqa: F401  (applies its patches first)

    from mmengine.config import DictAction

    by_mmengine = argparse.Namespace()
    try:
        DictAction([], "entries")(None, by_mmengine, [f"value={raw}"])
    except (AssertionError, RecursionError):  # brackets without a partner; a call such as dict(…)
        raise ValueError("literals as values, such as [1,2], 0.5 or a word") from None
    value = by_mmengine.entries["value"]
    # MMEngine removes blanks: "1 2" would be 12.
    keeps_blanks = " " in raw.strip("\"' ") and not isinstance(value, list | tuple)
    return raw if keeps_blanks else value


def _literal(raw: str) -> object | None:
    """Return a dictionary, or a value with quoted text that MMEngine would alter; else None."""
    if not re.search(r"['\"{]", raw):
        return None
    try:
        value = ast.literal_eval(raw)
    except (ValueError, SyntaxError):
        return None
    if isinstance(value, str):
        return value if re.search(r"[ ,([]", value.strip()) else None
    return value if raw[0] + raw[-1] in ("[]", "()", "{}") else None


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """Add the config argument and ``--cfg-options``.

    Args:
        parser: Parser to add to.
    """
    parser.add_argument("config", help="config file, or lpv_mmocr::textrecog/lpv/NAME.py")
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=ConfigOptions,
        metavar="KEY=VALUE",
        help="change entries of the config, e.g. train_dataloader.batch_size=48 "
        'model.encoder.depths="(3,6,6)"',
    )


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that training and testing share.

    Args:
        parser: Parser to add to.
    """
    add_config_options(parser)
    parser.add_argument(
        "--work-dir", help="folder for logs and results (default: work_dirs/NAME_OF_CONFIG)"
    )
    parser.add_argument(
        "--launcher",
        choices=LAUNCHERS,
        default="none",
        help="launcher that started the processes (default: none, a single process)",
    )


def run_script(script: Path) -> None:
    """Run a script as Python does, but keep ``sys.argv[0]``, the name shown in its help.

    Args:
        script: Path of the script.
    """
    module = types.ModuleType("__main__")
    # Processes that the script starts find the script's functions by this name.
    module.__file__ = str(script)
    sys.modules["__main__"] = module
    sys.path.insert(0, str(script.parent))
    exec(compile(script.read_bytes(), script, "exec"), vars(module))


if __name__ == "__main__":
    sys.exit(main())
