"""Toy recogniser that MMOCR's inferencers can load, and images for it."""

from __future__ import annotations

from pathlib import Path

import lpv_mmocr.inferencer_patches  # noqa: F401  (as the package does)

import numpy as np
import torch
from mmengine.config import Config
from mmocr.registry import MODELS

ROOT = Path(__file__).parents[2]
TOY = ROOT / "configs" / "textrecog" / "lpv" / "lpv-toy_digits.py"
INHERITING = f"""
_base_ = [{str(TOY)!r}]
test_dataloader = dict(
    dataset=dict(pipeline=[dict(type="LoadWordImage"), *_base_.test_pipeline])
)
"""


def write_toy(folder: Path) -> tuple[Path, Path]:
    """Write a config, and a checkpoint of random weights that contains the config."""
    config_path, checkpoint = folder / "toy.py", folder / "toy.pth"
    config_path.write_text(INHERITING)
    config = Config.fromfile(config_path)
    torch.manual_seed(5)
    model = MODELS.build(config.model)
    # Separate the classes as far as a trained model does, so that readings differ.
    for name, parameter in model.named_parameters():
        if "classifier" in name:
            torch.nn.init.normal_(parameter, std=0.5)
    meta = {"cfg": config.pretty_text}
    torch.save({"state_dict": model.state_dict(), "meta": meta}, checkpoint)
    return config_path, checkpoint


def padding_config(config: Config) -> Config:
    """Change a config to keep the aspect ratio of images and pad them with black."""
    height, width = config.model.encoder.img_size
    steps = config.test_dataloader.dataset.pipeline
    (resize,) = (number for number, step in enumerate(steps) if step["type"] == "Resize")
    rescale = dict(type="RescaleToHeight", height=height, min_width=4, max_width=width)
    steps[resize : resize + 1] = [rescale, dict(type="PadToWidth", width=width)]
    for step in steps:
        if step["type"].startswith("Pack"):
            step["meta_keys"] = ("img_path", "ori_shape", "img_shape", "valid_ratio")
    return config


def noise(height: int = 20, width: int = 60, channels: int = 3, seed: int = 0) -> np.ndarray:
    shape = (height, width, channels) if channels else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
