"""The commands of every document, one after another, carried out in a folder with small data.

Numbers that would take hours are made small, nothing else is changed.
"""

from __future__ import annotations

import importlib
import re
from fnmatch import fnmatchcase
from pathlib import Path

from lpv_mmocr.benchmark import specification

import pytest
import sandbox
from documented_code import DOCUMENTS, ROOT, Command, commands
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
    "xargs *": "installs into the machine",
    "tensorboard *": "a server",
    "lpv-mmocr demo*": "a server; tests/tools/test_demo.py",
    "lpv-mmocr read -": "reads standard input; tests/tools/test_read.py",
    "lpv-mmocr to-lmdb Union14M-L/*": "a download; tests/datasets/test_label_files.py",
    "*/pack_fonts.py *": "screens all fonts of the machine; tests/rendering/test_fonts.py",
    "*/render_words.py * --fonts fontpack *": "fonts of another machine",
    "*/render_words.py * --words chinese_words.txt *": "a Chinese font",
}
"""What is only parsed (test_commands_are_understood.py), and why. The docs have this list too."""

LIST_OF_NOT_RUN, HEADING = "docs/compatibility.md", "\n## Commands that are only checked\n"
CONFIGS = {
    "train.py": "configs/textrecog/lpv/lpv-tiny_own_data.py",
    "test.py": "configs/textrecog/lpv/lpv-tiny_stage2_10e_st_mj.py",
}
"""What CONFIG stands for."""
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
"""Options with which a tool is done in seconds; they win over earlier ones."""


def reason_not_to_run(command: Command) -> str | None:
    """Why a command is parsed only, if it is."""
    return next((why for kind, why in NOT_RUN.items() if fnmatchcase(str(command), kind)), None)


def shortened(script: str, words: list[str]) -> list[str]:
    """Arguments with which a tool is done in seconds."""
    meant = {"CONFIG": CONFIGS.get(script), **PLACEHOLDERS}
    words = [meant.get(word, word) for word in words]
    if script.startswith("deployment/"):  # LPV-Tiny: tests/deploy/test_onnx_export.py
        words = ["lpv-mini" if word == "lpv-tiny" else word for word in words]
    if script == "train.py":
        return with_options(words, options(SHORT_RUN) + one_cycle_length(words[0]))
    if script == "test.py":
        return with_options(words, options(EVALUATION))
    if script in QUICK:
        # An engine that need not be installed: tests/onnx_reader/test_lpv_onnx_engines.py.
        return [*(word for word in words if ":openvino" not in word), *QUICK[script].split()]
    if "strip" in words:
        # A model that has learned nothing reads none of the rendered words among which it looks.
        checkpoint, *rest = words
        return [checkpoint, "word.jpg", *rest]
    for option, value in SMALL_NUMBERS.items():
        if option in words:
            words[words.index(option) + 1] = value
    return words


def one_cycle_length(config: str) -> list[str]:
    """What fits a one-cycle schedule to the short run."""
    schedulers = Config.fromfile(config).get("param_scheduler") or []
    one_cycle = schedulers and schedulers[0].type == "OneCycleLR"
    shorter = ["param_scheduler.0.total_steps=2", "param_scheduler.0.pct_start=0.9"]
    return shorter if one_cycle else []


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
def checkout(tmp_path, monkeypatch, load_tool, runs_of_its_own) -> Path:
    sandbox.fill(tmp_path, load_tool("model_converters/official_to_mmocr.py").main)
    # Of the models that benchmark.py measures by name one of either kind, and a small one.
    for models, small in ((specification.LPV, "lpv-mini"), (specification.PEERS, "mmocr:crnn")):
        for name in models:
            monkeypatch.setitem(models, name, models[small])
    # The matrix product with which benchmark.py compares is large, so that its speed is the peak.
    monkeypatch.setattr("lpv_mmocr.benchmark.machine._SIDES", {"cpu": 32, "cuda": 32})
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("document", [name for name in DOCUMENTS if commands(name)])
def test_commands(document, checkout, load_tool, monkeypatch, capsys):
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
    """Run a command in this process; returns its exit status."""
    program, first, *rest = command.words
    if program == "python" and first == "-m":
        module, *rest = rest
        return importlib.import_module(f"{module}.__main__").main(rest)
    script = lpv_mmocr_cli.TOOLS[first][0] if program == "lpv-mmocr" else first
    script = script.removeprefix("tools/")
    return load_tool(script).main(shortened(script, rest))


def test_every_reason_is_needed():
    everything = [str(command) for document in DOCUMENTS for command in commands(document)]
    for kind in NOT_RUN:
        assert any(fnmatchcase(command, kind) for command in everything), f"no command is {kind}"


def test_the_docs_have_the_same_list():
    section = (ROOT / LIST_OF_NOT_RUN).read_text(encoding="utf-8").partition(HEADING)[2]
    rows = re.findall(r"^\| `(.+?)` \| (.+?) \|$", section, re.MULTILINE)
    assert {kind: why.replace("`", "") for kind, why in rows} == NOT_RUN
