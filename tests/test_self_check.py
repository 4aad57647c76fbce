"""Tests that each check fails when it should.

``tools/test_check_installation.py`` tests that all checks pass.
"""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from types import SimpleNamespace

from lpv_mmocr import self_check
from lpv_mmocr.deploy import convert
from lpv_mmocr.reading import Reading, weights
from lpv_mmocr.self_check import Outcome, UnexpectedResultError

import pytest
import torch

CHECKPOINTS = Path(__file__).resolve().parents[1] / "checkpoints"


def test_failed_check_does_not_stop_the_others(monkeypatch):
    def compare_checksums() -> str:
        raise ValueError("a.pth is another file")

    def read_examples(device: str, dtype: str | None) -> str:
        if dtype == "bf16":
            raise UnexpectedResultError("it reads 'x' for 'y'")
        return f"{device} {dtype}"

    monkeypatch.setattr(self_check, "compare_checksums", compare_checksums)
    monkeypatch.setattr(self_check, "read_examples", read_examples)
    monkeypatch.setattr(self_check, "train", lambda device: f"on {device}")
    assert list(self_check.self_check(["cpu", "meta"])) == [
        Outcome("bundled checkpoints", "ValueError: a.pth is another file", failed=True),
        Outcome("reading on cpu", "cpu None", failed=False),
        Outcome("reading on cpu, deployed in fp32", "cpu fp32", failed=False),
        Outcome("reading on cpu, deployed in bf16", "it reads 'x' for 'y'", failed=True),
        Outcome("training on cpu", "on cpu", failed=False),
        Outcome("reading on meta", "meta None", failed=False),
        Outcome("training on meta", "on meta", failed=False),
    ]


def test_devices_are_the_cpu_and_all_gpus(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert self_check.available_devices() == ["cpu", "cuda:0", "cuda:1"]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert self_check.available_devices() == ["cpu", "mps"]


def test_gpu_is_described_with_memory_and_cuda_version(monkeypatch):
    properties = SimpleNamespace(total_memory=80 * 2**30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU {device.index}")
    monkeypatch.setattr(torch.version, "cuda", "12.9")
    assert self_check.describe_device("cuda:1") == "GPU 1, 80 GiB, CUDA 12.9"


@pytest.mark.parametrize("emulates", [True, False])
def test_cpu_that_emulates_bfloat16_is_described_so(monkeypatch, emulates):
    monkeypatch.setattr(self_check, "cpu_emulates_bfloat16", lambda: emulates)
    assert ("bfloat16 only emulated" in self_check.describe_device("cpu")) is emulates


def test_emulated_bfloat16_is_read_without_a_warning(monkeypatch):
    monkeypatch.setattr(convert, "cpu_emulates_bfloat16", lambda: True)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*bfloat16")
        assert self_check.read_examples("cpu", "bf16").startswith("6 words")


def test_checkpoints_are_compared_with_their_checksums(monkeypatch, tmp_path):
    bundled = tmp_path / "bundled"
    for module in (self_check, weights):
        monkeypatch.setattr(module, "bundled_folders", lambda: (tmp_path / "none", bundled))
    with pytest.raises(UnexpectedResultError, match=r"there are none in .*bundled"):
        self_check.compare_checksums()
    bundled.mkdir()
    for name in ("lpv-mini.pth", "SHA256SUMS"):
        shutil.copy(CHECKPOINTS / name, bundled)
    assert self_check.compare_checksums() == "lpv-mini"
    with (bundled / "lpv-mini.pth").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ValueError, match="is not the file that was published"):
        self_check.compare_checksums()


@pytest.fixture
def read(monkeypatch):
    """Function that sets what the reader returns: ``read(word=(text, confidence))``."""

    def change(**readings: tuple[str, float]) -> None:
        known = {word: (word, confidence) for word, confidence in self_check.CONFIDENCES.items()}
        found = [
            Reading(source=f"a/{word}.jpg", text=text, confidence=confidence)
            for word, (text, confidence) in (known | readings).items()
        ]
        reader = SimpleNamespace(read=lambda images: found)
        monkeypatch.setattr(self_check, "WordReader", lambda *_, **__: reader)

    return change


def test_wrong_text_is_reported(read):
    read(coffee=("coffees", 0.99), station=("stadion", 0.99))
    with pytest.raises(
        UnexpectedResultError, match="reads 'coffees' for 'coffee', 'stadion' for 'station'"
    ):
        self_check.read_examples("cpu", None)


@pytest.mark.parametrize(
    ("confidence", "passing"),
    [
        (self_check.CONFIDENCES["coffee"] - 0.0005, (None, "fp32", "fp16", "bf16")),
        (self_check.CONFIDENCES["coffee"] - 0.005, ("bf16",)),
        (0.5, ()),
        (float("nan"), ()),
    ],
)
@pytest.mark.parametrize("dtype", [None, "fp32", "fp16", "bf16"])
def test_confidence_outside_the_tolerance_is_reported(read, dtype, confidence, passing):
    read(coffee=("coffee", confidence))
    if dtype in passing:
        assert self_check.read_examples("cpu", dtype).startswith("6 words, confidences off by up")
    else:
        with pytest.raises(UnexpectedResultError, match=r"off by up to .*, more than"):
            self_check.read_examples("cpu", dtype)


@pytest.mark.parametrize(
    ("losses", "right"),
    [([3.0, 2.5], True), ([3.0, 3.0], False), ([3.0, float("nan")], False)],
)
def test_loss_must_decrease(monkeypatch, losses, right):
    steps = iter(losses)

    class Model:
        def to(self, device: str) -> Model:
            return self

        def train(self) -> None:
            pass

        def train_step(self, batch: dict, wrapper: object) -> dict[str, torch.Tensor]:
            return dict(loss=torch.tensor(next(steps)))

    monkeypatch.setattr(self_check, "MODELS", SimpleNamespace(build=lambda config: Model()))
    monkeypatch.setattr(self_check, "build_optim_wrapper", lambda model, config: None)
    monkeypatch.setattr(self_check, "STEPS", 2)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    if right:
        assert self_check.train("cpu") == "loss 3.00, after 2 steps 2.50"
        assert torch.equal(torch.rand(3), expected), "random numbers go on as without it"
    else:
        with pytest.raises(UnexpectedResultError, match=r"loss 3.00, after 2 .*should decrease"):
            self_check.train("cpu")
