"""Tests that run the commands of every document, in order, in a folder with small data.

Numbers are reduced where a command would take hours.
"""

from __future__ import annotations

import importlib
from fnmatch import fnmatchcase
from pathlib import Path

from lpv_mmocr.benchmark import specification

import pytest
import sandbox
from documented_code import DOCUMENTS, Command, commands
from mmengine.config import Config

import lpv_mmocr_cli

NOT_RUN = {
    "bash tools/quickstart.sh": "trains for a minute; tests/tools/test_quickstart.py",
    "*bash tools/run_tests.sh*": "CI runs it",
    "bash tools/train_synth.sh *": "half an hour on a GPU, or 90 minutes on a CPU; "
    "tests/tools/test_train_synth.py",
    "*/train.py */lpv-tiny_stage1_10e_st_mj.py": "two downloads; tests/test_model_zoo.py",
    "bash tools/dist_*": "several GPUs; with two processes tests/tools/test_dist_scripts.py",
    "pip install *": "installs into the machine",
    "pip download *": "downloads all packages",
    "xargs *": "installs into the machine",
    "tensorboard *": "a server",
    "lpv-mmocr demo*": "a server; tests/tools/test_demo.py",
    "lpv-mmocr read -": "reads standard input; tests/tools/test_read.py",
    "lpv-mmocr to-lmdb Union14M-L/*": "a download; tests/datasets/test_label_files.py",
    "*/pack_fonts.py *": "screens all fonts of the machine; tests/rendering/test_fonts.py",
    "*/render_words.py * --fonts fontpack *": "fonts of another machine",
    "*/render_words.py * --words chinese_words.txt *": "a Chinese font",
}
"""Commands that are only parsed (test_commands_are_understood.py), and why."""

CONFIGS = {
    "train.py": "configs/textrecog/lpv/lpv-tiny_own_data.py",
    "test.py": "configs/textrecog/lpv/lpv-tiny_stage2_10e_st_mj.py",
}
"""Config for the placeholder CONFIG, by tool."""
PLACEHOLDERS = {
    "CHECKPOINT": "lpv-tiny.pth",
    "LMDB": "data/val",
    "PATH/iter_5000.pth": "work_dirs/lpv-tiny_own_data/iter_2.pth",
    "work_dirs/lpv-mini_own_data/iter_4000.pth": "work_dirs/lpv-mini_own_data/iter_2.pth",
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
QUICK = {
    "analysis_tools/benchmark.py": "--rounds 1 --min-time 0 --threads 1 --batch-sizes 1 "
    "--workers 0 --device cpu",
    "analysis_tools/benchmark_augment.py": "--seeds 0 --rounds 1 --images 2",
    "analysis_tools/measure_boxes.py": "--count 4",
    "deployment/compare_texts.py": "--num 8",
}
"""Options with which a tool finishes in seconds; they override earlier ones."""


def reason_not_to_run(command: Command) -> str | None:
    """Return why a command is only parsed, or None if it is run."""
    return next((why for kind, why in NOT_RUN.items() if fnmatchcase(str(command), kind)), None)


def shortened(script: str, words: list[str]) -> list[str]:
    """Return arguments with which a tool finishes in seconds."""
    meant = {"CONFIG": CONFIGS.get(script), **PLACEHOLDERS}
    words = [meant.get(word, word) for word in words]
    if script.startswith("deployment/"):  # LPV-Tiny: tests/deploy/test_onnx_export.py
        words = ["lpv-mini" if word == "lpv-tiny" else word for word in words]
    if script == "train.py":
        return with_options(words, options(SHORT_RUN) + one_cycle_length(words[0]))
    if script == "test.py":
        return with_options(words, options(EVALUATION))
    if script in QUICK:
        # Without OpenVINO, which is optional: tests/onnx_reader/test_lpv_onnx_engines.py.
        return [*(word for word in words if ":openvino" not in word), *QUICK[script].split()]
    if "strip" in words:
        # An untrained model reads none of the rendered words, from which the tool would choose.
        checkpoint, *rest = words
        return [checkpoint, "word.jpg", *rest]
    for option, value in SMALL_NUMBERS.items():
        if option in words:
            words[words.index(option) + 1] = value
    return words


def one_cycle_length(config: str) -> list[str]:
    """Return options that fit a one-cycle schedule to the short run."""
    schedulers = Config.fromfile(config).get("param_scheduler") or []
    one_cycle = schedulers and schedulers[0].type == "OneCycleLR"
    shorter = ["param_scheduler.0.total_steps=2", "param_scheduler.0.pct_start=0.9"]
    return shorter if one_cycle else []


def options(changes: dict, prefix: str = "") -> list[str]:
    """Return changes of a config in the format of ``--cfg-options``."""
    found = []
    for key, value in changes.items():
        nested = isinstance(value, dict)
        found += options(value, f"{prefix}{key}.") if nested else [f"{prefix}{key}={value}"]
    return found


def with_options(words: list[str], added: list[str]) -> list[str]:
    """Return arguments with more entries of ``--cfg-options``, which override earlier ones."""
    if "--cfg-options" not in words:
        return [*words, "--cfg-options", *added]
    end = words.index("--cfg-options") + 1
    while end < len(words) and "=" in words[end]:
        end += 1
    return [*words[:end], *added, *words[end:]]


@pytest.fixture
def checkout(tmp_path, monkeypatch, load_tool, runs_of_its_own) -> Path:
    sandbox.fill(tmp_path, load_tool("model_converters/official_to_mmocr.py").main)
    # One small model of each kind instead of those that benchmark.py measures by name.
    for models, small in ((specification.LPV, "lpv-mini"), (specification.PEERS, "mmocr:crnn")):
        for name in models:
            monkeypatch.setitem(models, name, models[small])
    # A small matrix product: that of benchmark.py is large, so that its speed is the peak.
    monkeypatch.setattr("lpv_mmocr.benchmark.machine._SIDES", {"cpu": 32, "cuda": 32})
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("document", [name for name in DOCUMENTS if commands(name)])
def test_commands_of_the_document_succeed(document, checkout, load_tool, monkeypatch, capsys):
    runnable = [command for command in commands(document) if not reason_not_to_run(command)]
    for command in runnable:
        with monkeypatch.context() as context:
            for name, value in command.variables:
                context.setenv(name, value)
            context.chdir(checkout / command.folder)
            try:
                status = carry_out(command, load_tool) or 0
            except SystemExit as end:
                status = end.code
        assert status == 0, f"{command}\n{capsys.readouterr().err}"


def carry_out(command: Command, load_tool) -> int | None:
    """Run a command in this process and return its exit status."""
    program, first, *rest = command.words
    if program == "python" and first == "-m":
        module, *rest = rest
        return importlib.import_module(f"{module}.__main__").main(rest)
    script = lpv_mmocr_cli.TOOLS[first][0] if program == "lpv-mmocr" else first
    script = script.removeprefix("tools/")
    return load_tool(script).main(shortened(script, rest))


def test_every_exclusion_matches_a_command():
    everything = [str(command) for document in DOCUMENTS for command in commands(document)]
    for kind in NOT_RUN:
        assert any(fnmatchcase(command, kind) for command in everything), f"no command is {kind}"
