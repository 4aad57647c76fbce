"""Tests of the bundled checkpoints and their model card."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

import lpv_mmocr
from lpv_mmocr.datasets import LPVLMDBDataset
from lpv_mmocr.evaluation.text_protocol import TextProtocol
from lpv_mmocr.models.best_look_tta import SURE
from lpv_mmocr.reading import Reading, checksums
from lpv_mmocr.reading.weights import find_weights

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmocr.registry import MODELS

FOLDER = Path(__file__).resolve().parents[1] / "checkpoints"
EXAMPLES = Path(lpv_mmocr.__file__).parent / "demo" / "examples"
SIZES = {
    "lpv-tiny.pth": 17.0,
    "lpv-tiny_finetuned.pth": 17.0,
    "lpv-mini.pth": 6.5,
    "lpv-mini_finetuned.pth": 6.5,
}
"""Maximum size of each file in MB."""
NAMES = tuple(SIZES)
HELD_OUT = 250
"""Number of last words of a real training set that were not used for training."""
CARD = {
    (name, bool(again)): [float(accuracy) for accuracy in re.findall(r"([\d.]+) %", accuracies)]
    for name, again, accuracies in re.findall(
        rf"^\| (\w+), last {HELD_OUT}(, with TTA)? \|(.+)\|$",
        (FOLDER / "README.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
}
"""Accuracies on the held-out words in the order of the files, by set and whether with TTA."""


@pytest.fixture(scope="module", params=NAMES)
def checkpoint(request) -> dict:
    # PyTorch's safe loading, without the additions of this project.
    return torch.load(FOLDER / request.param, map_location="cpu", weights_only=True)


@pytest.mark.parametrize("name", NAMES)
def test_checkpoint_is_listed_and_small(name):
    listed = (FOLDER / checksums.SUMS_NAME).read_text().splitlines()
    assert sorted(line.split()[1] for line in listed) == sorted(NAMES)
    checksums.verify(FOLDER / name)
    assert (FOLDER / name).stat().st_size < SIZES[name] * 1e6


def test_checkpoint_has_only_fp16_weights_and_metadata(checkpoint):
    assert checkpoint.keys() == {"meta", "state_dict"}
    floats = (value for value in checkpoint["state_dict"].values() if value.is_floating_point())
    assert {value.dtype for value in floats} == {torch.float16}


def test_stored_config_is_complete_and_has_no_paths(checkpoint):
    text = checkpoint["meta"]["cfg"]
    config = Config.fromstring(text, file_format=".py")
    init_default_scope("mmocr")
    MODELS.build(config.model).load_state_dict(checkpoint["state_dict"])
    assert config.model.decoder.with_mask
    assert not re.search(r"""['"][/~]""", text)


def test_default_weights_read_the_examples(monkeypatch):
    monkeypatch.delenv("LPV_WEIGHTS", raising=False)
    assert find_weights() == str(FOLDER / NAMES[0])
    readings = lpv_mmocr.read([EXAMPLES], device="cpu")
    assert {Path(reading.source).stem: reading.text for reading in readings} == {
        file.stem: file.stem for file in EXAMPLES.glob("*.jpg")
    }


def test_card_has_both_sets_and_all_files_in_order():
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    header = re.search(r"^\| words \|(.+)\|$", text, re.MULTILINE)[1]
    assert re.findall(r"`([\w.-]+)`", header) == list(NAMES)
    assert list(CARD) == [
        ("IIIT5K_train", False),
        ("IIIT5K_train", True),
        ("IC15_train", False),
        ("IC15_train", True),
    ]
    assert [len(accuracies) for accuracies in CARD.values()] == [len(NAMES)] * 4


@pytest.mark.slow
@pytest.mark.skipif(
    not os.environ.get("LPV_REAL_DATA"), reason="LPV_REAL_DATA names no folder of real words"
)
@pytest.mark.parametrize("column", range(len(NAMES)), ids=NAMES)
@pytest.mark.parametrize("name", ["IIIT5K_train", "IC15_train"])
def test_accuracy_on_real_words_matches_the_card(name, column):
    words = LPVLMDBDataset(
        data_root=os.environ["LPV_REAL_DATA"], ann_file=name, indices=-HELD_OUT, test_mode=True
    )
    samples = [words[number] for number in range(len(words))]
    weights = FOLDER / NAMES[column]

    def read(numbers: Iterable[int], tta: bool) -> list[Reading]:
        images = [samples[number]["img"] for number in numbers]
        return lpv_mmocr.read(images, weights=weights, device="cpu", tta=tta)

    def accuracy(readings: list[Reading]) -> float:
        reduce = TextProtocol().reduce
        right = [
            reduce(reading.text) == reduce(sample["instances"][0]["text"])
            for reading, sample in zip(readings, samples, strict=True)
        ]
        return 100 * sum(right) / HELD_OUT

    once = read(range(HELD_OUT), tta=False)
    # Processors round differently, which may change the reading of a word or two.
    assert accuracy(once) == pytest.approx(CARD[name, False][column], abs=1.0)
    if "finetuned" in NAMES[column]:
        return  # TTA takes longest, and works alike with all weights
    # TTA does not change confident words (tests/reading/test_looks.py).
    unsure = [i for i, reading in enumerate(once) if reading.confidence < SURE]
    again = dict(enumerate(once)) | dict(zip(unsure, read(unsure, tta=True), strict=True))
    assert accuracy(list(again.values())) == pytest.approx(CARD[name, True][column], abs=1.0)
