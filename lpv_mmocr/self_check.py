"""Check that the package works on this machine as it does on others."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from mmengine.structures import LabelData
from mmocr.registry import MODELS
from mmocr.structures import TextRecogDataSample

from .benchmark.machine import describe_machine
from .bfloat16 import cpu_emulates_bfloat16
from .demo.answer import EXAMPLES
from .drawn_words import draw_word, random_words
from .reading import WordReader, checksums
from .reading.weights import BUNDLED, bundled_checkpoints, bundled_folders

CONFIDENCES = {
    "2026": 0.9992,
    "coffee": 0.9968,
    "harbour": 0.9997,
    "library": 0.9998,
    "station": 0.9998,
    "welcome": 0.9996,
}
"""Confidences of the default weights for the words in ``EXAMPLES``, without TTA."""

TRAINED = "lpv_mmocr::textrecog/lpv/lpv-mini_own_data.py"
"""Config of the model that is trained for a few steps."""

STEPS = 10
"""Number of training steps."""

_DEPLOYED = {"cpu": ("fp32", "bf16"), "cuda": ("fp32", "bf16", "fp16")}
_TOLERANCES = {None: 0.001, "fp32": 0.001, "fp16": 0.002, "bf16": 0.01}


class UnexpectedResultError(Exception):
    """A result differs from that on other machines."""


@dataclass(frozen=True)
class Outcome:
    """Result of one check.

    Attributes:
        name: Name of the check.
        detail: Description of the result.
        failed: Whether the check failed.
    """

    name: str
    detail: str
    failed: bool


def available_devices() -> list[str]:
    """Return the CPU, and the GPUs that PyTorch can use."""
    apple = ["mps"] if torch.backends.mps.is_available() else []
    return ["cpu", *(f"cuda:{number}" for number in range(torch.cuda.device_count())), *apple]


def describe_device(device: str) -> str:
    """Return a description of a device.

    Args:
        device: PyTorch's name of the device.
    """
    kind = torch.device(device)
    machine = describe_machine(kind)
    if kind.type == "cuda":
        memory = torch.cuda.get_device_properties(kind).total_memory / 2**30
        return f"{machine.device}, {memory:.0f} GiB, CUDA {machine.cuda}"
    if kind.type == "cpu":
        emulated = ", bfloat16 only emulated" if cpu_emulates_bfloat16() else ""
        return f"{machine.device}, {machine.cores} cores, {machine.instructions}{emulated}"
    return kind.type


def self_check(devices: Sequence[str]) -> Iterator[Outcome]:
    """Check the bundled files, reading, and training.

    Args:
        devices: PyTorch's names of the devices.

    Yields:
        The result of each check when it is done; a failed check does not end the others.
    """
    yield _outcome("bundled checkpoints", compare_checksums)
    for device in devices:
        kind = torch.device(device).type
        for dtype in (None, *_DEPLOYED.get(kind, ())):
            form = f", deployed in {dtype}" if dtype else ""
            yield _outcome(f"reading on {device}{form}", partial(read_examples, device, dtype))
        yield _outcome(f"training on {device}", partial(train, device))


def _outcome(name: str, check: Callable[[], str]) -> Outcome:
    try:
        return Outcome(name, check(), failed=False)
    except UnexpectedResultError as error:
        return Outcome(name, str(error), failed=True)
    except Exception as error:  # whatever does not work here
        return Outcome(name, f"{type(error).__name__}: {error}", failed=True)


def compare_checksums() -> str:
    """Compare the bundled checkpoints with their checksums.

    Returns:
        Their names.

    Raises:
        UnexpectedResultError: If there are no checkpoints.
        ValueError: If a checkpoint differs from the published one.
    """
    files = bundled_checkpoints()
    if not files:
        raise UnexpectedResultError(f"there are none in {bundled_folders()[-1]}")
    for file in files:
        checksums.verify(file)
    return ", ".join(file.stem for file in files)


def read_examples(device: str, dtype: str | None) -> str:
    """Read words with the default weights, and compare texts and confidences with expected ones.

    Args:
        device: PyTorch's name of the device.
        dtype: Float type of the deployed model; None for the model that is not deployed.

    Returns:
        The number of words read, and the largest error of their confidences, as text.

    Raises:
        UnexpectedResultError: If a text or a confidence differs.
    """
    with warnings.catch_warnings():
        # Slow or not, it has to be right; the description of the processor says that it is slow.
        warnings.filterwarnings("ignore", "this processor only emulates bfloat16")
        reader = WordReader(Path(BUNDLED).stem, device=device, deploy=dtype, tta=False)
    found = {Path(str(reading.source)).stem: reading for reading in reader.read([EXAMPLES])}
    wrong = [
        f"{found[word].text!r} for {word!r}" for word in CONFIDENCES if found[word].text != word
    ]
    if wrong:
        raise UnexpectedResultError(f"it reads {', '.join(wrong)}")
    differences = [found[word].confidence - known for word, known in CONFIDENCES.items()]
    off = np.abs(differences).max()  # NaN if one is
    detail = f"{len(CONFIDENCES)} words, confidences off by up to {off:.1g}"
    if not off <= _TOLERANCES[dtype]:
        raise UnexpectedResultError(f"{detail}, more than {_TOLERANCES[dtype]}")
    return detail


def train(device: str) -> str:
    """Take some training steps on the same few words.

    Args:
        device: PyTorch's name of the device.

    Returns:
        The first and the last loss, as text.

    Raises:
        UnexpectedResultError: If the loss does not decrease.
    """
    config = Config.fromfile(TRAINED)
    on_gpus = [device] if torch.device(device).type == "cuda" else []
    with DefaultScope.overwrite_default_scope("mmocr"), torch.random.fork_rng(on_gpus):
        torch.manual_seed(0)
        model = MODELS.build(config.model)
        model.to(device).train()
        wrapper = build_optim_wrapper(model, config.optim_wrapper)
        losses = [model.train_step(_batch(), wrapper)["loss"].item() for _ in range(STEPS)]
    detail = f"loss {losses[0]:.2f}, after {STEPS} steps {losses[-1]:.2f}"
    if not (math.isfinite(losses[-1]) and losses[-1] < losses[0]):
        raise UnexpectedResultError(f"{detail}; it should decrease")
    return detail


def _batch() -> dict[str, list]:
    rng = np.random.default_rng(0)
    inputs, samples = [], []
    for word in random_words(8):
        image = draw_word(word, rng)
        inputs.append(torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))))
        sample = TextRecogDataSample(gt_text=LabelData(item=word))
        sample.set_metainfo(dict(img_shape=image.shape[:2], valid_ratio=1.0))
        samples.append(sample)
    return dict(inputs=inputs, data_samples=samples)
