"""Hooks that save a test's predictions, as text and as figures."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import collect_results, get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmocr.registry import HOOKS
from mmocr.structures import TextRecogDataSample

import lpv_onnx

from ..atomic_files import truncated, write_file
from ..sample_names import sample_name
from .evaluator_protocol import protocol_of

_LONGEST_NAME = 200  # bytes in the name of a figure file; file systems allow 255


@HOOKS.register_module()
class PredictionWriterHook(Hook):
    """Hook that writes the predictions of a test as JSON lines, one word per line.

    Each line is an object with ``key`` (see :func:`sample_name`), ``label``, ``text``, ``scores``
    (one probability per character) and, if available, ``set`` (the benchmark set), ``path`` (since
    two folders of the same name have the same keys) and ``word_score``. Lines are in the order of
    the dataset, whatever the number of processes.

    Args:
        out_file: File to write, at the end of the test. Parent folders are created as needed.
    """

    def __init__(self, *, out_file: str) -> None:
        self.out_file = Path(out_file)
        self._rows: list[dict[str, Any]] = []

    def before_test_epoch(self, runner: Runner) -> None:
        """Discard the words of an earlier test."""
        self._rows.clear()

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: Sequence[TextRecogDataSample] | None = None,
    ) -> None:
        """Collect the words of a batch."""
        for sample in outputs or ():
            prediction = sample.pred_text
            row = {
                "key": sample_name(sample),
                "label": sample.gt_text.item if "gt_text" in sample else None,
                "text": prediction.item,
                "scores": _numbers(prediction.get("score", [])),
            }
            for name, meta in (("set", "benchmark_set"), ("path", "img_path")):
                if value := sample.get(meta):
                    row[name] = str(value)
            if "word_score" in prediction:
                (row["word_score"],) = _numbers([prediction.word_score])
            self._rows.append(row)

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Write the file, on the main process."""
        rows = collect_results(self._rows, len(runner.test_dataloader.dataset), device="gpu")
        if not is_main_process():
            return
        write_file(self.out_file, "".join(lpv_onnx.json_line(row) + "\n" for row in rows))
        runner.logger.info(f"{len(rows)} predictions are in {self.out_file}")


@HOOKS.register_module()
class RecogVisualizationHook(Hook):
    """Hook that draws the predictions of a test on the images as the model received them.

    With test-time augmentation this is the first view, even if another was the most confident.
    MMOCR's ``VisualizationHook`` opens ``img_path`` as a file, which words in an LMDB do not have.

    Args:
        out_dir: Folder for the figures, one PNG per word, named after the sample and, if there is
            one, its benchmark set. A number derived from the sample's path is appended if samples
            of several folders have the same name, if the name is shortened, and always with
            several processes.
        interval: Draw every n-th word.

    Raises:
        ValueError: If ``interval`` is below 1.
    """

    def __init__(self, *, out_dir: str, interval: int = 1) -> None:
        if interval < 1:
            raise ValueError(f"interval must be at least 1, got {interval}")
        self.out_dir = Path(out_dir)
        self.interval = interval
        self._seen = 0
        self._sample_of: dict[str, str] = {}

    def before_test_epoch(self, runner: Runner) -> None:
        """Create the folder, and have errors marked as the metrics of the test count them."""
        if hasattr(runner.visualizer, "protocol"):
            runner.visualizer.protocol = protocol_of(runner.test_evaluator.metrics)
        self.out_dir.mkdir(parents=True, exist_ok=True)
        self._seen = 0
        self._sample_of.clear()

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: Sequence[TextRecogDataSample] | None = None,
    ) -> None:
        """Draw the words of a batch; with test-time augmentation, on their first view."""
        images = data_batch["inputs"]
        if isinstance(images[0], (list, tuple)):
            images = images[0]
        for image, sample in zip(images, outputs, strict=True):
            self._seen += 1
            if (self._seen - 1) % self.interval:
                continue
            name = self._file_name(sample)
            # The image has the padding of the pipeline, but not yet that of the batch.
            shown = sample.new()
            width = sample.get("batch_input_shape", image.shape[-2:])[-1]
            shown.set_metainfo(dict(valid_ratio=image.shape[-1] / width))
            runner.visualizer.add_datasample(
                name,
                # From BGR (3, H, W), as loaded, to RGB (H, W, 3), as visualizers expect.
                image.flip(0).permute(1, 2, 0).numpy(),
                data_sample=shown,
                out_file=str(self.out_dir / f"{name}.png"),
            )

    def _file_name(self, sample: TextRecogDataSample) -> str:
        """Return a name unique to the sample, made of letters, digits and ``_``, ``.``, ``-``."""
        place = f"{sample.get('benchmark_set') or ''}:{sample.get('img_path') or self._seen}"
        name = f"{sample.get('benchmark_set') or ''}_{sample_name(sample)}"
        name = re.sub(r"[^\w.-]+", "_", name).strip("_") or str(self._seen)
        short = truncated(name, _LONGEST_NAME)
        taken = self._sample_of.setdefault(name.casefold(), place) != place
        # The names that other processes have used are not known here.
        if taken or short != name or get_world_size() > 1:
            short = f"{short}_{zlib.crc32(place.encode(errors='surrogateescape')):08x}"
        return short


def _numbers(scores: torch.Tensor | Sequence[float]) -> list[float]:
    """Return probabilities for JSON, which has no NaN."""
    numbers = scores.tolist() if isinstance(scores, torch.Tensor) else map(float, scores)
    return [0.0 if math.isnan(number) else number for number in numbers]
