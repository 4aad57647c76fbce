"""Tests of ``tools/analysis_tools/benchmark.py``."""

from __future__ import annotations

import json

import pytest
import torch

ADAPTER = """
from torch import nn

def small():
    return nn.Conv2d(3, 2, 3), (8, 16)
"""


@pytest.fixture
def tool(load_tool, monkeypatch):
    monkeypatch.setattr("lpv_mmocr.benchmark.machine._SIDES", {"cpu": 32, "cuda": 32})
    return load_tool("analysis_tools/benchmark.py")


@pytest.fixture
def adapter(tmp_path):
    file = tmp_path / "foreign.py"
    file.write_text(ADAPTER)
    return f"{file}:small"


QUICK = ["--rounds", "2", "--min-time", "0", "--device", "cpu"]


def test_table_is_printed_and_files_are_written(tool, toy_config, adapter, tmp_path, capsys):
    options = ["--models", str(toy_config), "--adapter", adapter, "--batch-sizes", "1"]
    out = tmp_path / "results"
    assert tool.main([*options, *QUICK, "--out", str(out)]) == 0
    captured = capsys.readouterr()
    assert "## Model forward, batch 1" in captured.out
    assert "round 2 of 2" in captured.err
    content = json.loads((out / "benchmark.json").read_text())
    assert [row["model"] for row in content["measurements"]] == ["tiny_steps", "small"]
    assert content["baseline"] == "tiny_steps"
    assert sorted(file.name for file in out.iterdir()) == [
        "benchmark.json",
        "benchmark.md",
        "benchmark.png",
    ]


def test_batch_sweep_has_one_row_per_batch_size(tool, adapter, capsys):
    options = ["--adapter", adapter, "--sweep", "batch", "--batch-sizes", "1", "2"]
    assert tool.main([*options, *QUICK]) == 0
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| small")]
    assert [line.split("|")[2].strip() for line in table] == ["1", "2"]


def test_loader_is_measured_with_and_without_data(tool, toy_config, toy_data, capsys, monkeypatch):
    monkeypatch.setattr(tool, "GENERATED_WORDS", 5)
    options = ["--models", str(toy_config), "--task", "loader", "--workers", "0"]
    for data in ([], ["--data", str(toy_data / "train")]):
        assert tool.main([*options, *QUICK, *data]) == 0
        assert "0 (one core)" in capsys.readouterr().out


def test_interruption_keeps_the_results_measured_so_far(
    tool, toy_config, tmp_path, capsys, monkeypatch
):
    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(tool, "load_words", interrupted)
    options = ["--models", str(toy_config), "--task", "forward", "loader", "--batch-sizes", "1"]
    with pytest.raises(SystemExit) as raised:
        tool.main([*options, *QUICK, "--out", str(tmp_path / "results")])
    assert raised.value.code == 130
    assert "## Model forward, batch 1" in capsys.readouterr().out
    assert (tmp_path / "results" / "benchmark.json").is_file()


def test_failed_run_does_not_overwrite_an_earlier_report(
    tool, toy_config, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(tool, "load_words", lambda *args: 1 / 0)
    (tmp_path / "benchmark.json").write_text("complete")
    options = ["--models", str(toy_config), "--task", "forward", "loader", "--batch-sizes", "1"]
    with pytest.raises(ZeroDivisionError):
        tool.main([*options, *QUICK, "--out", str(tmp_path)])
    assert "## Model forward, batch 1" in capsys.readouterr().out
    assert (tmp_path / "benchmark.json").read_text() == "complete"


@pytest.mark.parametrize(
    ("name", "chosen"), [(None, []), ("cuda", []), ("cuda:1", [torch.device("cuda:1")])]
)
def test_requested_gpu_is_measured(tool, monkeypatch, name, chosen):
    made_current = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", made_current.append)
    monkeypatch.setattr(tool, "check_device", lambda name: None)
    assert tool.find_device(name) == torch.device(name or "cuda")
    assert made_current == chosen


@pytest.mark.parametrize(
    ("program", "start"),
    [
        ("tools/analysis_tools/benchmark.py", "python tools/"),
        ("lpv-mmocr benchmark", "lpv-mmocr b"),
    ],
)
def test_reported_command_line_can_be_run_again(tool, monkeypatch, program, start):
    monkeypatch.setattr("sys.argv", [program, "--out", "a b"])
    assert tool.command_line().startswith(start)
    assert tool.command_line().endswith("--out 'a b'")


def test_failed_model_sets_the_exit_status(tool, adapter, tmp_path, capsys):
    file = tmp_path / "failing.py"
    file.write_text("from torch import nn\ndef wrong():\n    return nn.Conv2d(4, 2, 3), (8, 16)\n")
    options = ["--adapter", adapter, f"{file}:wrong", "--batch-sizes", "1"]
    assert tool.main([*options, *QUICK]) == 1
    assert "RuntimeError" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--models", "lpv-huge"], "'lpv-huge' names no model"),
        (["--models", "nowhere.py"], "there is no config file nowhere.py"),
        (["--adapter", "nowhere.py:build"], "there is no adapter file nowhere.py"),
        (["--adapter", "nowhere.py"], "--adapter must be FILE.py:FUNCTION"),
        (["--models", "lpv-tiny", "--baseline", "x"], "--baseline x is not one of the models"),
        (["--device", "tpu9000"], "--device tpu9000: no such kind of device"),
        (["--rounds", "0"], "must be positive"),
        (["--min-time", "inf"], "others not negative"),
        (["--min-time", "nan"], "others not negative"),
        (["--threads", "0"], "must be positive"),
        (["--threads", "100000"], "--threads 100000: 1024 at most"),
        (["--out", __file__], "--out needs a folder"),
        (["--task", "loader", "--data", "nowhere"], "--data nowhere: there is no such folder"),
        (["--sweep", "width", "--task", "loader"], "--sweep goes with --task forward and train"),
    ],
)
def test_bad_options_are_rejected(tool, capsys, options, message):
    with pytest.raises(SystemExit, match="2"):
        tool.main(options)
    assert message in capsys.readouterr().err


def test_what_is_named_twice_is_measured_once(tool):
    assert tool.parse_args(["--batch-sizes", "4", "1", "4"]).batch_sizes == [4, 1]
    assert tool.parse_args(["--task", "train", "forward", "train"]).task == ["train", "forward"]


def test_files_are_written_even_if_nothing_can_be_printed(tool, adapter, tmp_path, close_pipe):
    close_pipe()
    options = ["--adapter", adapter, "--batch-sizes", "1", "--out", str(tmp_path / "results")]
    with pytest.raises(SystemExit, match="141"):
        tool.main([*options, *QUICK])
    assert len(list((tmp_path / "results").iterdir())) == 3


def test_result_that_cannot_be_written_is_noticed_at_once(tool, adapter, tmp_path, capsys):
    (tmp_path / "results" / "benchmark.png").mkdir(parents=True)
    with pytest.raises(SystemExit, match="2"):
        tool.main(["--adapter", adapter, *QUICK, "--out", str(tmp_path / "results")])
    assert "--out needs the name of a file, and" in capsys.readouterr().err
