"""Tests of complete benchmark runs, in one process and in two."""

from __future__ import annotations

import json
from pathlib import Path

from lpv_mmocr.datasets import LPVLMDBDataset
from lpv_mmocr.evaluation import BenchmarkMetric

import cv2
import numpy as np
import pytest
import torch
from benchmark_cases import write_set
from forked_programs import Program, run_script
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.runner import Runner
from mmocr.registry import MODELS

ROOT = Path(__file__).parents[2]
TOY = ROOT / "configs" / "textrecog" / "lpv" / "lpv-toy_digits.py"
CONFIG = """
_base_ = [{toy!r}]
custom_imports = dict(imports=["lpv_mmocr.evaluation"], allow_failed_imports=False)
test_dataloader = dict(
    _delete_=True,
    batch_size=2,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="BenchmarkDataset",
        data_root={root!r},
        sets=dict(SVT="svt", CUTE80="cute", SVTP="nowhere"),
        pipeline=_base_.test_pipeline,
    ),
)
test_evaluator = dict(
    type="Evaluator",
    metrics=[
        dict(type="BenchmarkMetric"),
        dict(type="BenchmarkMetric", case_sensitive=True, prefix="case"),
    ],
)
default_hooks = dict(benchmark=dict(type="BenchmarkReportHook"))
"""


def noise(number: int) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 255, (16, 40, 3), np.uint8)
    return cv2.imencode(".png", pixels)[1].tobytes()


def read(model: torch.nn.Module, pipeline: list[dict], folder: Path) -> list[str]:
    words = LPVLMDBDataset(ann_file=str(folder), pipeline=pipeline, test_mode=True)
    return [s.pred_text.item for s in model.test_step(pseudo_collate([*words]))]


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """Write a config, a toy's checkpoint and 5 + 2 words, some labelled with its readings."""
    folder = tmp_path_factory.mktemp("bench")
    config = folder / "toy.py"
    config.write_text(CONFIG.format(toy=str(TOY), root=str(folder)))
    toy = Config.fromfile(TOY)
    torch.manual_seed(1)
    model = MODELS.build(toy.model).eval()
    torch.save({"state_dict": model.state_dict(), "meta": {}}, folder / "toy.v1.pth")
    images = [noise(number) for number in range(7)]
    write_set(folder / "train", list("0123456"), images)
    readings = read(model, toy.test_pipeline, folder / "train")
    labels = [f" {readings[i].upper()}^" if i % 2 == 0 else "?" for i in range(5)]
    images[3] = b"noise"
    write_set(folder / "svt", labels, images[:5])
    write_set(folder / "cute", ["0" * 30, readings[6]], images[5:])
    return folder


@pytest.fixture(scope="module")
def alone(bench):
    """Evaluate in this process and return the log."""
    config = Config.fromfile(bench / "toy.py")
    config.work_dir, config.load_from = str(bench / "alone"), str(bench / "toy.v1.pth")
    Runner.from_cfg(config).test()
    return next((bench / "alone").glob("*/*.log")).read_text()


def reports(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(folder.glob("toy.v1_benchmark_*"))}


def test_reports_are_written_to_the_work_folder(bench, alone):
    assert list(reports(bench / "alone")) == [
        "toy.v1_benchmark_case-insensitive-36.json",
        "toy.v1_benchmark_case-insensitive-36.md",
        "toy.v1_benchmark_case-sensitive-94.json",
        "toy.v1_benchmark_case-sensitive-94.md",
    ]
    report = json.loads(reports(bench / "alone")["toy.v1_benchmark_case-insensitive-36.json"])
    assert report["checkpoint"].endswith("toy.v1.pth")
    assert report["model"] == "LPV, float32, mask off"
    svt, cute = report["sets"]["SVT"], report["sets"]["CUTE80"]
    # Labels 1, 3 and 5 are the toy's readings; 2 and 4 count as empty, and image 4 is bad.
    assert (svt["count"], svt["expected_count"], svt["empty_labels"]) == (5, 647, 2)
    assert svt["bad_samples"] == ["svt:image-000000004"]
    assert svt["correct"] == 3
    assert (cute["count"], cute["correct"], cute["accuracy"]) == (2, 1, 0.5)
    assert report["means"]["six"] is None
    assert report["means"]["present"]["weighted_accuracy"] == 4 / 7


def test_table_and_absent_set_are_printed(bench, alone):
    assert reports(bench / "alone")["toy.v1_benchmark_case-insensitive-36.md"] in alone
    assert "The benchmark set SVTP is ABSENT" in alone
    assert "recog/SVT/accuracy: 0.6000" in alone
    assert "case/SVT/accuracy: " in alone


@pytest.mark.slow
def test_two_processes_give_the_same_numbers(bench, alone):
    # Seven words for two processes: one of them is repeated.
    arguments = bench / "toy.py", bench / "toy.v1.pth", "--launcher", "pytorch"
    arguments += "--work-dir", bench / "both"
    test = ROOT / "tools" / "test.py"
    Program(run_script, test, bench, *arguments, log=bench / "log", processes=2).finish()
    assert reports(bench / "both") == reports(bench / "alone")
    # MMEngine's folder for exchanging results in files, which other machines cannot see.
    assert not (bench / ".dist_test").exists()


def test_metric_selects_the_best_checkpoint(bench, tmp_path):
    """In MMEngine's validation loop, ``save_best`` finds the metric by its name."""
    config = Config.fromfile(TOY)
    config.work_dir = str(tmp_path)
    config.train_cfg.update(max_iters=2, val_interval=1)
    config.train_dataloader.batch_size = 2
    config.train_dataloader.dataset.update(data_root=str(bench), ann_file="train")
    config.val_dataloader.dataset.update(data_root=str(bench), ann_file="svt")
    config.val_evaluator = dict(type="BenchmarkMetric")
    config.default_hooks.checkpoint.save_best = "recog/accuracy"
    runner = Runner.from_cfg(config)
    runner.train()
    (metric,) = runner.val_evaluator.metrics
    assert isinstance(metric, BenchmarkMetric)
    assert metric.report is None, "no benchmark, so no report"
    assert list(tmp_path.glob("best_recog_accuracy_iter_*.pth"))
