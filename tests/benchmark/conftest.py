"""Toy config and adapters that take no time to measure."""

from __future__ import annotations

from pathlib import Path

from lpv_mmocr.benchmark.tasks import Plan

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
TOY = f"""
_base_ = {str(ROOT / "configs/textrecog/lpv/lpv-toy_digits.py")!r}
model = dict(
    encoder=dict(
        img_size=(16, 32),
        embed_dims=(8, 8, 16),
        num_heads=(1, 1, 2),
        merge_strides=((1, 1), (1, 1)),
    ),
    decoder=dict(in_channels=16, with_mask=True, glrm=dict(num_heads=2, ffn_dim=16)),
)
load = [dict(type="LoadImageFromNDArray"), dict(type="LoadOCRAnnotations", with_text=True)]
resize = dict(type="Resize", scale=(32, 16), backend="pillow", interpolation="bicubic")
train_pipeline = [*load, resize, dict(type="TextAugment"), dict(type="PackWordInputs")]
test_pipeline = [dict(type="LoadWordImage"), *load, resize, dict(type="PackWordInputs")]
train_dataloader = dict(batch_size=4, dataset=dict(pipeline=train_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
"""
ADAPTER = """
import torch
from torch import nn

class Flat(nn.Linear):
    def forward(self, images):
        return super().forward(images.flatten(1))

    def loss(self, images, texts):
        lengths = torch.tensor([float(len(text)) for text in texts])
        return (self(images).mean(1) - lengths).square().mean()

def flat():
    return Flat(3 * 8 * 16, 5), (8, 16)

def fails():
    raise RuntimeError("no weights here")

def number():
    return 3

def sizeless():
    return Flat(2, 2)

def negative():
    return Flat(2, 2), (0, 4)

class Broken(nn.Module):
    def forward(self, images):
        raise RuntimeError("does not run")

def broken():
    return Broken(), (8, 16)
"""


@pytest.fixture
def toy_file(tmp_path) -> str:
    file = tmp_path / "toy.py"
    file.write_text(TOY)
    return str(file)


@pytest.fixture
def adapter_file(tmp_path) -> str:
    file = tmp_path / "foreign.py"
    file.write_text(ADAPTER)
    return str(file)


@pytest.fixture
def quick() -> Plan:
    return Plan(torch.device("cpu"), rounds=2, min_seconds=0.0, warm_up=1)


@pytest.fixture(autouse=True)
def _small_peak(monkeypatch):
    """Measure the peak of the machine with a small matrix product."""
    monkeypatch.setattr("lpv_mmocr.benchmark.machine._SIDES", {"cpu": 32, "cuda": 32})
