"""Throughput of training pipelines from an LMDB to batches on the device, and time of each step."""

from __future__ import annotations

import gc
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmocr.registry import DATASETS, MODELS

from ..cli import InputError
from ..datasets import LMDBWriter, close_environments
from ..datasets import lmdb_dataset as lmdb_dataset_module
from ..drawn_words import random_words
from .samples import encoded_images
from .specification import Specification
from .subjects import load
from .tasks import Plan
from .timing import Summary, summarise

AUGMENTATION = "TextAugment"
_READ, _DECODE, _COLLATE, _PREPROCESS = "read", "decode", "collate", "to the device"


@dataclass(kw_only=True)
class LoadingMeasurement:
    """Measurement of one pipeline with one number of worker processes.

    Attributes:
        model: Label of the model whose config it is.
        augmented: Whether augmentation was on.
        workers: Number of worker processes; 0 means one core in this process.
        rates: Images per second in each round.
        shares: Fraction of the time spent in each step, by step name; only without workers.
        start_up: Seconds until the first batch; only with workers.
        memory: Memory of the workers in bytes, with shared pages divided; only with workers.
    """

    model: str
    augmented: bool
    workers: int
    rates: list[float] = field(default_factory=list)
    shares: dict[str, float] = field(default_factory=dict)
    start_up: float | None = None
    memory: int | None = None

    @property
    def rate(self) -> Summary:
        """Images per second."""
        return summarise(self.rates)

    def to_dict(self) -> dict[str, Any]:
        """Return all values, including derived ones, in a JSON-compatible form."""
        return {**asdict(self), "rate": {**asdict(self.rate), "spread": self.rate.spread}}


def write_words(folder: Path, number: int) -> None:
    """Write an LMDB of drawn words as small JPEG images.

    Args:
        folder: Folder of the new LMDB.
        number: Number of words.
    """
    with LMDBWriter(folder) as writer:
        for image, word in zip(encoded_images(number), random_words(number), strict=True):
            writer.write(image, word)


def run_loading(
    specs: Sequence[Specification],
    data: Path,
    workers: Sequence[int],
    plan: Plan,
) -> list[LoadingMeasurement]:
    """Measure the training pipelines of configs on an LMDB.

    Of models that differ only in how they run, such as by ``deploy``, the first stands for all.
    Without workers, everything runs in this process on one core; the shares of the steps are
    measured there. With workers, each round starts new ones: workers that load ahead would take
    time from the other measurements.

    Args:
        specs: Models whose configs hold the pipelines.
        data: Folder of the LMDB.
        workers: Numbers of worker processes.
        plan: Measurement settings; ``min_seconds`` is the minimum duration of a round.

    Returns:
        One measurement per pipeline, with and without augmentation, and number of workers.

    Raises:
        InputError: If a config has no pipeline for training.
    """
    variants = [
        _Variant(spec, augmented, data, plan.device)
        for spec in _with_different_data(specs)
        for augmented in _augmentations(spec)
    ]
    results = {
        (variant, number): LoadingMeasurement(
            model=variant.spec.label, augmented=variant.augmented, workers=number
        )
        for number in workers
        for variant in variants
    }
    # One core for each process, as in MMEngine's workers.
    cv_threads, torch_threads = cv2.getNumThreads(), torch.get_num_threads()
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    try:
        for number in range(plan.rounds):
            # In another order each round: whatever comes first finds cold caches.
            for (variant, num_workers), result in random.Random(number).sample(
                list(results.items()), len(results)
            ):
                if num_workers == 0:
                    variant.measure_here(result, plan.min_seconds)
                else:
                    variant.measure_workers(result, plan.min_seconds)
            plan.progress(f"loader: round {number + 1} of {plan.rounds}")
    finally:
        cv2.setNumThreads(cv_threads)
        torch.set_num_threads(torch_threads)
        close_environments()
    for result in results.values():
        total = sum(result.shares.values())
        result.shares = {name: seconds / total for name, seconds in result.shares.items()}
    return list(results.values())


def _with_different_data(specs: Sequence[Specification]) -> list[Specification]:
    first: dict[tuple[str | None, str], Specification] = {}
    for spec in specs:
        first.setdefault((spec.config, repr(spec.options)), spec)
    return list(first.values())


def _augmentations(spec: Specification) -> tuple[bool, ...]:
    steps = train_pipeline(load(spec) if spec.config else None, spec.label)
    return (True, False) if any(step["type"] == AUGMENTATION for step in steps) else (False,)


def train_pipeline(cfg: Config | None, label: str) -> list[dict]:
    """Return the training pipeline of a config, for images that are already in memory.

    Args:
        cfg: The config, or None for an adapter.
        label: Name of the model, for the error message.

    Raises:
        InputError: If there is no training pipeline.
    """
    if cfg is None or "train_pipeline" not in cfg:
        raise InputError(f"{label} has no train_pipeline, which --task loader measures")
    steps = deepcopy(list(cfg.train_pipeline))
    for step in steps:
        if step["type"] == "LoadImageFromFile":
            step["type"] = "LoadImageFromNDArray"
    return steps


class _Variant:
    """A config's pipeline with or without augmentation, on the LMDB."""

    def __init__(
        self, spec: Specification, augmented: bool, data: Path, device: torch.device
    ) -> None:
        cfg = load(spec)
        self.spec = spec
        self.device = device
        self.augmented = augmented
        steps = train_pipeline(cfg, spec.label)
        if not augmented:
            steps = [step for step in steps if step["type"] != AUGMENTATION]
        self.dataset_config = dict(type="LPVLMDBDataset", ann_file=str(data), pipeline=steps)
        self.batch_size = cfg.get("train_dataloader", {}).get("batch_size", 96)
        self.scope = cfg.get("default_scope", "mmocr")
        with DefaultScope.overwrite_default_scope(self.scope):
            self.dataset = DATASETS.build(self.dataset_config)
            preprocessor = cfg.model.get("data_preprocessor")
            self.preprocessor = MODELS.build(preprocessor).to(device) if preprocessor else None
        self.order = np.random.default_rng(0).permutation(len(self.dataset))
        self.position = 0

    def measure_here(self, result: LoadingMeasurement, min_seconds: float) -> None:
        if not result.rates:
            self._batch()  # opens the file
        images, began = 0, time.perf_counter()
        while images == 0 or time.perf_counter() - began < min_seconds:
            self._batch()
            images += self.batch_size
        result.rates.append(images / (time.perf_counter() - began))
        # Timing every step costs time, so the shares come from a separate batch.
        with watched(self.dataset, result.shares) as add:
            self._batch(add)

    def _batch(self, add: Callable[[str, float], None] = lambda step, seconds: None) -> None:
        samples = [self.dataset[index] for index in self._indices()]
        began = time.perf_counter()
        batch = pseudo_collate(samples)
        add(_COLLATE, time.perf_counter() - began)
        began = time.perf_counter()
        self._prepare(batch)
        add(_PREPROCESS, time.perf_counter() - began)

    def _prepare(self, batch: dict) -> None:
        """Move a batch to the device and preprocess it, as for the model."""
        if self.preprocessor is not None:
            self.preprocessor(batch, training=False)
            if self.device.type == "cuda":
                torch.cuda.synchronize()

    def _indices(self) -> list[int]:
        places = np.arange(self.position, self.position + self.batch_size) % len(self.order)
        self.position += self.batch_size
        return self.order[places].tolist()

    def measure_workers(self, result: LoadingMeasurement, min_seconds: float) -> None:
        loader = dict(
            batch_size=self.batch_size,
            num_workers=result.workers,
            sampler=dict(type="ResumableInfiniteSampler"),
            dataset=self.dataset_config,
        )
        close_environments()
        with DefaultScope.overwrite_default_scope(self.scope):
            batches = Runner.build_dataloader(loader, seed=0)
        began = time.perf_counter()
        iterator = iter(batches)
        self._prepare(next(iterator))
        start_up = time.perf_counter() - began
        # Batches loaded ahead while the workers started do not count.
        for _ in range(2 * result.workers):
            self._prepare(next(iterator))
        count, began = 0, time.perf_counter()
        while count < 2 * result.workers or time.perf_counter() - began < min_seconds:
            self._prepare(next(iterator))
            count += 1
        result.rates.append(count * self.batch_size / (time.perf_counter() - began))
        first = result.start_up is None
        result.start_up = start_up if first else min(start_up, result.start_up)
        result.memory = max(result.memory or 0, children_memory())
        del iterator, batches
        gc.collect()


@contextmanager
def watched(dataset: Any, seconds: dict[str, float]) -> Iterator[Callable[[str, float], None]]:
    """Add the time of every step of a dataset to ``seconds`` within the context.

    Args:
        dataset: An LPVLMDBDataset.
        seconds: Seconds by step name, updated in place.

    Yields:
        A function that adds the time of another step.
    """

    def add(step: str, duration: float) -> None:
        seconds[step] = seconds.get(step, 0.0) + duration

    def timed(step: str, function: Callable) -> Callable:
        def call(*args: Any, **kwargs: Any) -> Any:
            began = time.perf_counter()
            result = function(*args, **kwargs)
            add(step, time.perf_counter() - began)
            return result

        return call

    transforms = dataset.pipeline.transforms
    decode = lmdb_dataset_module.decode_image
    dataset.pipeline.transforms = [timed(type(step).__name__, step) for step in transforms]
    dataset.get_data_info = timed(_READ, dataset.get_data_info)
    lmdb_dataset_module.decode_image = timed(_DECODE, decode)
    try:
        yield add
    finally:
        dataset.pipeline.transforms = transforms
        del dataset.get_data_info
        lmdb_dataset_module.decode_image = decode


def children_memory(proc: Path = Path("/proc")) -> int:
    """Return the bytes held by child processes, with shared pages divided among their users.

    Args:
        proc: Mount point of Linux's ``proc``; the result is 0 on other systems.
    """
    children = proc / "self" / "task" / str(os.getpid()) / "children"
    total = 0
    if children.is_file():
        for child in children.read_text().split():
            rollup = proc / child / "smaps_rollup"
            if rollup.is_file():
                lines = rollup.read_text().splitlines()
                total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total * 1024
