"""Benchmark sets, a toy model and a config to report on."""

from __future__ import annotations

from pathlib import Path

import lpv_mmocr.evaluation  # noqa: F401  (before mmocr: patches and registers)
from lpv_mmocr.datasets import close_environments

import cv2
import pytest
from apis.inference_cases import noise, write_toy
from evaluation.benchmark_cases import write_set
from mmengine.registry import init_default_scope

SVT = ["", "12", "345", "6789", "<b>0</b>"]
CUTE = ["55", "7"]
CONFIG = """
_base_ = ["toy.py"]
test_dataloader = dict(
    _delete_=True,
    batch_size=2,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="BenchmarkDataset",
        data_root={root!r},
        sets=dict(SVT="svt", SVTP="nowhere", CUTE80="cute"),
        pipeline={pipeline},
    ),
)
test_evaluator = dict(
    type="Evaluator",
    metrics=[dict(type="BenchmarkMetric"), dict(type="WordMetric", mode="exact")],
)
"""


@pytest.fixture(scope="session", autouse=True)
def _mmocr_scope():
    """Resolve types without a prefix in MMOCR, as in its configs."""
    init_default_scope("mmocr")


@pytest.fixture(autouse=True)
def _private_environments():
    close_environments()
    yield
    close_environments()


@pytest.fixture(scope="module")
def bench(tmp_path_factory) -> Path:
    """Folder with ``bench.py``, ``toy.pth`` and two sets of 5 + 2 words, the last one damaged."""
    folder = tmp_path_factory.mktemp("bench")
    write_toy(folder)
    pipeline = """[
        dict(type="LoadImageFromNDArray"),
        dict(type="LoadOCRAnnotations", with_text=True),
        dict(type="Resize", scale=(64, 32)),
        dict(type="PackWordInputs"),
    ]"""
    (folder / "bench.py").write_text(CONFIG.format(root=str(folder), pipeline=pipeline))
    images = [cv2.imencode(".png", noise(seed=seed))[1].tobytes() for seed in range(7)]
    images[6] = b"no image"
    write_set(folder / "svt", SVT, images[:5])
    write_set(folder / "cute", CUTE, images[5:])
    return folder
