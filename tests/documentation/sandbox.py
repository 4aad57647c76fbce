"""Folder that looks like a checkout with data, for the commands of the docs."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from lpv_mmocr.datasets import LMDBWriter

import cv2
import numpy as np
import torch
from documented_code import ROOT
from lpv_cases import released_state_dict
from mmengine.runner import Runner
from torch.utils.data import DataLoader

CHECKPOINTS = (
    "lpv-tiny.pth",
    "checkpoint.pth",
    "epoch_10.pth",
    "work_dirs/lpv-tiny_own_data/iter_20000.pth",
    "work_dirs/run/iter_20000.pth",
)
"""Names that the docs give to a trained model."""
LMDBS = {
    "data/train": 12,
    "data/val": 5,
    "data/real/IIIT5K_train": 206,  # the last 200 are held out
    "data/evaluation/IIIT5k": 3,
    "data/evaluation/IIIT5k_3000": 3,
    "data/evaluation/SVT": 3,
    # The same in PARSeq's folders.
    "data/test/IIIT5k": 3,
    "data/test/SVT": 3,
}
IMAGES = ("word.jpg", "my_word.png", "a.jpg", "words/one.png", "words/two.png")


def word_image(text: str) -> np.ndarray:
    """Return an image of a word in black on white, BGR."""
    image = np.full((32, 100, 3), 255, np.uint8)
    cv2.putText(image, text, (4, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (0, 0, 0), 2)
    return image


def fill(folder: Path, convert) -> None:
    """Fill an empty folder with links to the checkout, data and models.

    Args:
        folder: The folder.
        convert: ``main`` of the converter of released weights, which writes the model.
    """
    for name in ("configs", "tools", "tests", "requirements", "docs"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "checkpoints").mkdir()  # commands may write there
    for file in (ROOT / "checkpoints").iterdir():
        put = os.symlink if file.suffix == ".pth" else shutil.copy
        put(file, folder / "checkpoints" / file.name)
    for name, count in LMDBS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with LMDBWriter(folder / name) as writer:
            for number in range(count):
                encoded = cv2.imencode(".png", word_image(str(number)))[1]
                writer.write(encoded.tobytes(), str(number))
    for name in IMAGES:
        (folder / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(folder / name), word_image("one"))
    (folder / "words" / "labels.tsv").write_text("one.png\tone\ntwo.png\ttwo\n")
    (folder / "train.tsv").write_text("one.png\tone\n")  # the labels after a split
    (folder / "val.tsv").write_text("two.png\ttwo\n")
    (folder / "held_out.tsv").write_text("images/000000206.png\t205\n")  # of an LMDB, converted
    torch.manual_seed(0)
    torch.save(released_state_dict("tiny"), folder / "LPV_Tiny.pth")
    published, trained, *others = (folder / name for name in CHECKPOINTS)
    assert convert([str(folder / "LPV_Tiny.pth"), str(published)]) == 0
    shutil.copy(published, trained)  # since a file cannot be published onto itself
    for other in others:
        other.parent.mkdir(parents=True, exist_ok=True)
        other.hardlink_to(trained)


def training_loader(data: Path) -> DataLoader:
    """Return a loader that can start at any iteration, as in a training run."""
    pipeline = [
        dict(type="LoadImageFromNDArray"),
        dict(type="LoadOCRAnnotations", with_text=True),
        dict(type="PackTextRecogInputs", meta_keys=("img_shape",)),
    ]
    return Runner.build_dataloader(
        dict(
            batch_size=2,
            num_workers=0,
            dataset=dict(type="LPVLMDBDataset", ann_file=str(data), pipeline=pipeline),
            sampler=dict(type="ResumableInfiniteSampler"),
        )
    )
