"""Tests of the command ``lpv-mmocr``."""

from __future__ import annotations

import importlib.metadata
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import lpv_mmocr

import pytest
from fresh_python import output_of

import lpv_mmocr_cli

ROOT = Path(__file__).resolve().parents[1]


def command(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "lpv_mmocr_cli", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


def test_help_lists_every_command():
    result = command("--help")
    assert result.returncode == 0
    for name in lpv_mmocr_cli.TOOLS:
        assert f"\n  {name} " in result.stdout


def test_help_does_not_import_pytorch():
    """Check for slow imports, since the time itself cannot be tested reliably."""
    code = (
        "import sys, lpv_mmocr_cli; lpv_mmocr_cli.main(['--help']); lpv_mmocr_cli.tools_folder();"
        "slow = {'torch', 'mmengine', 'mmocr', 'numpy', 'cv2', 'lpv_mmocr'} & set(sys.modules);"
        "assert not slow, slow"
    )
    output_of(code)


@pytest.mark.parametrize("name", lpv_mmocr_cli.TOOLS)
@pytest.mark.parametrize(("options", "status"), [(["--help"], 0), (["--no-such-option"], 2)])
def test_parsing_options_does_not_import_pytorch(name, options, status):
    code = (
        "import sys, lpv_mmocr_cli\n"
        f"try: lpv_mmocr_cli.main({[name, *options]})\n"
        f"except SystemExit as end: assert end.code == {status}, end.code\n"
        "slow = {'torch', 'mmengine', 'mmocr', 'numpy', 'cv2', 'lpv_mmocr'} & set(sys.modules)\n"
        "assert not slow, slow"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert f"usage: lpv-mmocr {name} " in (result.stderr if status else result.stdout)


def test_choices_match_those_of_the_package(load_tool, capsys):
    """Tools repeat the choices, to parse options without importing the package."""
    from lpv_mmocr.benchmark import sweep, tasks
    from lpv_mmocr.datasets import conversion, label_files
    from lpv_mmocr.deploy import DTYPES, onnx_export
    from lpv_mmocr.engine import distributed
    from lpv_mmocr.rendering import PRESETS

    assert lpv_mmocr_cli.LAUNCHERS == distributed.LAUNCHERS
    assert tuple(DTYPES) == lpv_mmocr_cli.DTYPES
    assert tuple(label_files.FORMATS) == lpv_mmocr_cli.LABEL_FORMATS
    benchmark = load_tool("analysis_tools/benchmark.py")
    assert (*tasks.BATCH_SIZES, "loader") == benchmark.TASKS
    assert tuple(sweep.AXES) == benchmark.SWEEPS
    assert load_tool("deployment/export_onnx.py").PRECISIONS == onnx_export.PRECISIONS
    assert tuple(sorted(PRESETS)) == load_tool("dataset_converters/render_words.py").DIFFICULTIES
    for name in ("labels_to_lmdb", "lmdb_to_labels"):
        with pytest.raises(SystemExit):
            load_tool(f"dataset_converters/{name}.py").parse_args(["--help"])
        assert f"OUT/{conversion.LEFT_OUT_FILE}" in capsys.readouterr().out


SHOW_ALL_TRACEBACKS = {"quickstart.py", "benchmark_augment.py", "benchmark_lmdb.py"}
SCRIPTS = [
    str(file.relative_to(ROOT / "tools"))
    for file in sorted((ROOT / "tools").rglob("*.py"))
    if file.name not in SHOW_ALL_TRACEBACKS
]


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_tool_can_show_tracebacks(script, load_tool, capsys):
    with pytest.raises(SystemExit, match="0"):
        load_tool(script).parse_args(["--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert " --traceback show the full traceback of an error" in shown


@pytest.mark.parametrize(
    ("script", "arguments"),
    [
        ("analysis_tools/plot_curves.py", ["absent", "--out", "curves.png"]),
        ("model_converters/official_to_mmocr.py", ["absent.pth", "out.pth"]),
        ("model_converters/grow_checkpoint.py", ["absent.pth", "config.py", "out.pth"]),
        ("model_converters/carry_checkpoint.py", ["pack", "absent.pth", "parts"]),
        ("model_converters/publish_checkpoint.py", ["absent.pth", "out.pth"]),
    ],
)
def test_error_is_a_line_or_a_traceback(
    script, arguments, load_tool, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    tool = load_tool(script)
    with pytest.raises(SystemExit, match="2"):
        tool.main(arguments)
    assert re.fullmatch("error: .*\n", capsys.readouterr().err)
    with pytest.raises((OSError, ValueError)):
        tool.main(["--traceback", *arguments])


@pytest.mark.parametrize("name", lpv_mmocr_cli.TOOLS)
def test_every_command_has_its_script(name):
    assert (lpv_mmocr_cli.tools_folder() / lpv_mmocr_cli.TOOLS[name][0]).is_file()


def test_command_passes_options_to_its_tool():
    config = "configs/textrecog/lpv/lpv-toy_digits.py"
    result = command("config", config, "--cfg-options", "train_cfg.max_iters=123")
    assert result.returncode == 0, result.stderr
    assert "max_iters=123" in result.stdout


@pytest.mark.parametrize(
    ("name", "script"),
    [
        ("info", "analysis_tools/lmdb_info.py"),
        ("to-lmdb", "dataset_converters/labels_to_lmdb.py"),
        ("from-lmdb", "dataset_converters/lmdb_to_labels.py"),
    ],
)
def test_data_commands_run_their_scripts(name, script, monkeypatch):
    run = []
    monkeypatch.setattr(lpv_mmocr_cli, "run_script", run.append)
    monkeypatch.setattr(lpv_mmocr_cli.sys, "argv", [])
    assert lpv_mmocr_cli.main([name, "--option", "value"]) == 0
    assert run == [lpv_mmocr_cli.tools_folder() / script]
    assert lpv_mmocr_cli.sys.argv == [f"lpv-mmocr {name}", "--option", "value"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["-m", "lpv_mmocr_cli", "config", "configs/textrecog/lpv/lpv-tiny_stage1_10e_st_mj.py"],
        # So little that it is written only at the end.
        ["-c", "import lpv_mmocr.cli as c\nwith c.ReportInputErrors(): print('little')"],
    ],
    ids=["much", "little"],
)
def test_closed_output_pipe_ends_quietly(arguments):
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
def test_error_about_an_undecodable_name_needs_no_standard_error():
    name = os.fsdecode(b"gone\xff.py")
    command = [sys.executable, "-m", "lpv_mmocr_cli", "config", name]
    shell = ["sh", "-c", 'exec "$@" >&- 2>&-', "sh", *command]
    assert subprocess.run(shell, cwd=ROOT).returncode == 2


def test_output_on_a_full_disk_is_an_error():
    program = "import lpv_mmocr.cli as c\nwith c.ReportInputErrors(): print('little')"
    with open("/dev/full", "w") as full:
        result = subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert result.stderr == "error: [Errno 28] No space left on device\n"
    assert result.returncode == 2


def test_version_is_shown_without_installation(monkeypatch, capsys):
    def absent(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", absent)
    assert lpv_mmocr_cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"lpv-mmocr {lpv_mmocr.__version__}\n"


def test_exit_status_is_that_of_the_tool():
    result = command("config", "nowhere.py")
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1] == "error: there is no config file nowhere.py"


def test_interrupt_during_import_of_the_tool_is_reported(tmp_path, monkeypatch, capsys, request):
    # Processes in the background are started with SIGINT ignored.
    at_start = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, at_start))
    (tmp_path / "read.py").write_text("import signal; signal.raise_signal(signal.SIGINT)")
    monkeypatch.setattr(lpv_mmocr_cli, "tools_folder", lambda: tmp_path)
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    for name in ("argv", "path"):
        monkeypatch.setattr(sys, name, list(getattr(sys, name)))
    assert lpv_mmocr_cli.main(["read"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [([], "error: no command given"), (["tarin"], "error: unknown command 'tarin'; choose from")],
)
def test_wrong_command_is_refused(arguments, error, capsys):
    assert lpv_mmocr_cli.main(arguments) == 2
    assert error in capsys.readouterr().err
