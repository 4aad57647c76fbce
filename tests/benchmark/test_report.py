"""Tests of the benchmark report."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from lpv_mmocr.benchmark import figure
from lpv_mmocr.benchmark.figure import draw
from lpv_mmocr.benchmark.loading import LoadingMeasurement
from lpv_mmocr.benchmark.machine import Machine, cpu_name
from lpv_mmocr.benchmark.measurement import Measurement
from lpv_mmocr.benchmark.report import Report
from lpv_mmocr.benchmark.specification import parse_model
from lpv_mmocr.benchmark.sweep import sweep

import cv2
import pytest
from matplotlib.figure import Figure

MACHINE = Machine(
    device="Abacus 3000",
    cores=4,
    threads=2,
    instructions="AVX512",
    system="Linux",
    python="3.11.2",
    torch="2.13.0",
    cuda=None,
    tf32=False,
    tf32_convolutions=False,
)
BASE = [0.2, 0.4, 0.2]


def _report(**changes) -> Report:
    rows = [
        Measurement(
            task="forward",
            model="lpv-tiny",
            batch_size=4,
            parameters=8_109_842,
            macs=1_750_000_000,
            first_call=1.5,
            peak_memory=40 << 20,
            times=BASE,
            baseline_times=BASE,
            peak_macs=70e9,
        ),
        Measurement(
            task="forward",
            model="lpv-tiny:bf16",
            batch_size=4,
            precision="bf16",
            parameters=8_109_842,
            macs=1_750_000_000,
            times=[0.1, 0.2, 0.1],
            baseline_times=BASE,
            peak_macs=200e9,
        ),
        Measurement(task="forward", model="other", batch_size=4, error="RuntimeError: too big"),
    ]
    settings = dict(
        machine=MACHINE,
        date="2025-01-02",
        command="python benchmark.py",
        baseline="lpv-tiny",
        rounds=3,
        measurements=rows,
    )
    return Report(**{**settings, **changes})


def _cells(markdown: str, model: str) -> dict[str, str]:
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    titles, row = (
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in (lines[0], next(line for line in lines if f"| {model} " in line))
    )
    return dict(zip(titles, row, strict=True))


def test_row_has_all_figures():
    cells = _cells(_report().to_markdown(), "lpv-tiny")
    assert cells == {
        "model": "lpv-tiny",
        "batch": "4",
        "precision": "fp32",
        "parameters, M": "8.11",
        "GMAC/image": "1.75",
        "latency, ms": "200 ± 50",
        "ms/image": "50.0",
        "images/s": "20.0",
        "speed": "1.00x",
        "share of peak": "50 %",
        "memory, MiB": "40.0",
        "first call, s": "1.5",
        "remarks": "",
    }
    assert _cells(_report().to_markdown(), "lpv-tiny:bf16")["speed"] == "2.00x"


def test_column_without_content_is_left_out():
    (_, _, failed) = _report().measurements
    cells = _cells(_report(measurements=[failed]).to_markdown(), "other")
    assert "memory, MiB" not in cells and cells["remarks"] == "RuntimeError: too big"


def test_failed_model_shows_its_error():
    cells = _cells(_report().to_markdown(), "other")
    assert cells["remarks"] == "RuntimeError: too big"
    assert cells["latency, ms"] == cells["images/s"] == cells["speed"] == "-"


def test_machine_command_and_random_weights_are_stated():
    markdown = _report().to_markdown()
    for text in ("Abacus 3000, 2 threads on 4 cores", "2025-01-02", "python benchmark.py"):
        assert text in markdown
    assert "Weights are random" in markdown


def test_json_holds_everything(tmp_path):
    _report().write(tmp_path / "new")
    content = json.loads((tmp_path / "new" / "benchmark.json").read_text())
    assert content["machine"]["device"] == "Abacus 3000"
    first, _, failed = content["measurements"]
    assert first["times"] == BASE
    assert first["latency"]["median"] == 0.2
    assert first["speed"]["median"] == 1.0
    assert first["images_per_second"] == pytest.approx(20)
    assert failed["latency"] is None and failed["error"]
    assert (tmp_path / "new" / "benchmark.md").read_text() == _report().to_markdown()


def test_loading_table_has_rates_shares_and_memory():
    loading = [
        LoadingMeasurement(
            model="toy",
            augmented=True,
            workers=0,
            rates=[900.0, 1000.0, 1100.0],
            shares={"decode": 0.25, "TextAugment": 0.75},
        ),
        LoadingMeasurement(
            model="toy", augmented=False, workers=2, rates=[4000.0], start_up=0.5, memory=90 << 20
        ),
    ]
    markdown = _report(measurements=[], loading=loading).to_markdown()
    assert "1,000 ± 50" in markdown
    assert "toy, augmentation on: TextAugment 75 %, decode 25 %" in markdown
    assert "0.500" in markdown or "0.50" in markdown
    assert "90.0" in markdown
    assert "Share of time by step" in markdown
    markdown = _report(measurements=[], loading=loading[1:]).to_markdown()
    assert "Share of time by step" not in markdown


def test_figure_is_drawn_if_there_are_measurements(tmp_path):
    assert draw(_report(), tmp_path / "speed.png")
    figure = cv2.imread(str(tmp_path / "speed.png"))
    # One panel, with the red of our points.
    assert figure.shape[0] < figure.shape[1]
    assert (abs(figure.astype(int) - (0x52, 0x4E, 0xC4)).max(-1) < 8).sum() > 100
    assert not draw(_report(measurements=[]), tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16", "int8"])
def test_all_precisions_have_a_marker(tmp_path, precision):
    """Precisions of PyTorch models and of ONNX files."""
    row = Measurement(
        task="forward",
        model="onnx:toy",
        batch_size=2,
        parameters=1000,
        times=[0.1],
        precision=precision,
    )
    assert draw(_report(measurements=[row]), tmp_path / "speed.png")


def test_figure_of_a_sweep_is_drawn(tmp_path):
    rows = [
        Measurement(task="forward", model=f"toy 16x{w}", batch_size=2, times=[w / 100], at=w)
        for w in (32, 64)
    ]
    assert draw(_report(measurements=rows, sweep="width"), tmp_path / "sweep.png")


def test_sweep_has_a_curve_for_each_model(toy_file):
    one, two = toy_file, str(Path(toy_file).with_name("toy two.py"))
    shutil.copy(one, two)
    specs = sweep("stages", [parse_model(one), parse_model(two)])
    rows = [
        Measurement(task="forward", model=s.label, batch_size=1, times=[1.0], at=s.at, base=s.base)
        for s in specs
    ]
    axes = Figure().subplots()
    figure._draw_sweep(axes, rows, "stages")
    assert [line.get_label() for line in axes.lines] == ["toy", "toy two"]
    assert [len(line.get_xdata()) for line in axes.lines] == [5, 5]


def test_processor_name_is_read_from_cpuinfo(tmp_path):
    file = tmp_path / "cpuinfo"
    file.write_text("processor : 0\nmodel name\t: Abacus: 3000\n")
    assert cpu_name(file) == "Abacus: 3000"
    assert isinstance(cpu_name(tmp_path / "none"), str)
