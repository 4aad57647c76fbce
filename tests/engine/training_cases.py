"""A training run small enough for tests: rendered numbers, a toy LPV, all relevant hooks."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

from lpv_mmocr.datasets import LMDBWriter

import cv2
import numpy as np
from lpv_cases import TOY_ENCODER, decoder_config
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmocr.registry import HOOKS

_runs = itertools.count()
ONE_CYCLE = dict(type="OneCycleLR", by_epoch=False, eta_max=8e-3, total_steps=12, pct_start=0.25)


def write_numbers(path: Path, first: int, count: int) -> Path:
    """Write an LMDB of images of numbers, some of which augmentation makes illegible."""
    with LMDBWriter(str(path)) as writer:
        for number in range(first, first + count):
            image = np.full((16, 40, 3), 255, np.uint8)
            cv2.putText(image, str(number), (2, 13), cv2.FONT_HERSHEY_PLAIN, 1.0, (0, 0, 0))
            writer.write(cv2.imencode(".png", image)[1].tobytes(), str(number))
    return path


@HOOKS.register_module()
class BatchRecorderHook(Hook):
    """Records the batch of every iteration: keys of the samples and sums over their pixels.

    Args:
        out_file: File to which one line per iteration is appended, for runs that may be killed.
    """

    priority = "VERY_HIGH"

    def __init__(self, *, out_file: str | None = None) -> None:
        self.out_file = out_file
        self.batches: list[str] = []

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        words = [
            f"{sample.sample_key}={int(pixels.sum())}"
            for sample, pixels in zip(data_batch["data_samples"], data_batch["inputs"], strict=True)
        ]
        line = f"{runner.iter} {' '.join(words)}"
        self.batches.append(line)
        if self.out_file:
            with open(self.out_file, "a", encoding="utf-8") as file:
                file.write(line + "\n")


class RateRecorder(Hook):
    """Records the learning rate of every iteration."""

    def __init__(self) -> None:
        self.rates: list[float] = []

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        self.rates += runner.optim_wrapper.get_lr()["lr"]


def training_config(data: Path, work_dir: Path, **overrides) -> Config:
    """Return the config of a run of 12 iterations: a checkpoint every 4, a validation every 6.

    Args:
        data: Folder with the LMDBs ``train`` and ``val``.
        work_dir: Work folder.
        **overrides: Entries to change, with ``__`` for the dots of nested keys.
    """
    load = [dict(type="LoadImageFromNDArray"), dict(type="LoadOCRAnnotations", with_text=True)]
    val_dataloader = dict(
        batch_size=8,
        num_workers=0,
        sampler=dict(type="DefaultSampler", shuffle=False),
        dataset=dict(
            type="LPVLMDBDataset",
            ann_file=str(data / "val"),
            test_mode=True,
            pipeline=[*load, dict(type="PackWordInputs")],
        ),
    )
    config = Config(
        dict(
            default_scope="mmocr",
            custom_imports=dict(imports=["lpv_mmocr"], allow_failed_imports=False),
            experiment_name=f"test_{os.getpid()}_{next(_runs)}",
            work_dir=str(work_dir),
            randomness=dict(seed=7),
            model=dict(
                type="LPV",
                encoder=dict(TOY_ENCODER, drop_path_rate=0.1),
                decoder=decoder_config(24, with_mask=False),
                data_preprocessor=dict(
                    type="TextRecogDataPreprocessor", mean=[0, 0, 0], std=[255, 255, 255]
                ),
            ),
            train_dataloader=dict(
                batch_size=6,
                num_workers=0,
                sampler=dict(type="ResumableInfiniteSampler"),
                dataset=dict(
                    type="LPVLMDBDataset",
                    ann_file=str(data / "train"),
                    pipeline=[*load, dict(type="TextAugment"), dict(type="PackWordInputs")],
                ),
            ),
            val_dataloader=val_dataloader,
            val_evaluator=dict(type="WordMetric", mode=["ignore_case_symbol"]),
            train_cfg=dict(type="ResumableIterBasedTrainLoop", max_iters=12, val_interval=6),
            val_cfg=dict(type="ValLoop"),
            optim_wrapper=dict(
                type="OptimWrapper",
                optimizer=dict(type="Adam", lr=1e-3),
                clip_grad=dict(max_norm=20, norm_type=2),
            ),
            param_scheduler=[dict(type="MultiStepLR", by_epoch=False, milestones=[7], gamma=0.1)],
            default_hooks=dict(
                timer=dict(type="ThroughputTimerHook", interval=2),
                logger=dict(type="LoggerHook", interval=2),
                checkpoint=dict(type="AtomicCheckpointHook", interval=4),
            ),
            custom_hooks=[dict(type="BatchRecorderHook")],
            log_processor=dict(type="LogProcessor", window_size=2, by_epoch=False),
            log_level="WARNING",
            visualizer=dict(type="Visualizer", vis_backends=[dict(type="LocalVisBackend")]),
        )
    )
    config.merge_from_dict({key.replace("__", "."): value for key, value in overrides.items()})
    return config


def train(config: Config) -> tuple[Runner, list[str]]:
    """Train, and return the runner and its recorded batches."""
    runner = Runner.from_cfg(config)
    runner.train()
    return runner, recorded(runner)


def recorded(runner: Runner) -> list[str]:
    """Return the recorded batches of a runner."""
    return next(h for h in runner.hooks if isinstance(h, BatchRecorderHook)).batches


class At(Hook):
    """Calls a function after an iteration, counted from 1, before its checkpoint."""

    def __init__(self, iteration: int, action) -> None:
        self.iteration = iteration
        self.action = action

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        if runner.iter + 1 == self.iteration:
            self.action(runner)
