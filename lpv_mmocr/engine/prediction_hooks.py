"""What a test leaves behind for people to look at: predictions as text, and pictures."""

from __future__ import annotations

import os
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

_LONGEST_NAME = 200  # bytes of the name of a picture; systems allow 255


def sample_name(sample: TextRecogDataSample) -> str:
    """Name of a sample: its ``sample_key``, else the path of its picture, else nothing.

    Args:
        sample: A sample as it leaves the model.
    """
    return str(sample.get("sample_key") or sample.get("img_path") or "")


def shortened(name: str, size: int) -> str:
    """As much of a file's name as a number of bytes has room for, in whole characters.

    Args:
        name: The name, or its beginning.
        size: Bytes at most.
    """
    while len(os.fsencode(name)) > size:
        name = name[:-1]
    return name


@HOOKS.register_module()
class PredictionWriterHook(Hook):
    """Writes what a model read in a test as JSON lines, one word per line.

    Each line is an object with ``key`` (see :func:`sample_name`), ``label``, ``text``, ``scores``
    (one probability per character) and, where there are such, ``set`` (of a benchmark), ``path``
    (two folders of one name have the same keys) and ``word_score``. Lines are in the order of the
    data set, whatever the number of processes.

    Args:
        out_file: File to write. Folders above it are made as needed.
    """

    def __init__(self, *, out_file: str) -> None:
        self.out_file = Path(out_file)
        self._rows: list[dict[str, Any]] = []

    def before_test_epoch(self, runner: Runner) -> None:
        """Forget what an earlier test left."""
        self._rows.clear()

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: Sequence[TextRecogDataSample] | None = None,
    ) -> None:
        """Note the words of a batch."""
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
                row["word_score"] = float(prediction.word_score)
            self._rows.append(row)

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Write the file, on the main process."""
        rows = collect_results(self._rows, len(runner.test_dataloader.dataset), device="gpu")
        if not is_main_process():
            return
        self.out_file.parent.mkdir(parents=True, exist_ok=True)
        with self.out_file.open("w", encoding="utf-8") as file:
            for row in rows:
                file.write(lpv_onnx.json_line(row) + "\n")
        runner.logger.info(f"{len(rows)} predictions are in {self.out_file}")


@HOOKS.register_module()
class RecogVisualizationHook(Hook):
    """Draws what a model read in a test, on the pictures as the model saw them.

    With test-time augmentation that is the first look, whichever was the surest. MMOCR's
    ``VisualizationHook`` opens ``img_path`` as a file; words of an LMDB have none.

    Args:
        out_dir: Folder for the pictures, one PNG per word, named after the sample and, where there
            is one, its benchmark set. Where samples of several folders have one name, a number
            that follows from the folder stands behind it, as with several processes always.
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
        """Make the folder and count from the first word."""
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
        """Draw the words of a batch; under test-time augmentation, as the first one shows them."""
        pictures = data_batch["inputs"]
        if isinstance(pictures[0], (list, tuple)):
            pictures = pictures[0]
        for picture, sample in zip(pictures, outputs, strict=True):
            self._seen += 1
            if (self._seen - 1) % self.interval:
                continue
            name = self._file_name(sample)
            # It is padded as the pipeline has done it, and not yet as the batch was.
            shown = sample.new()
            width = sample.get("batch_input_shape", picture.shape[-2:])[-1]
            shown.set_metainfo(dict(valid_ratio=picture.shape[-1] / width))
            runner.visualizer.add_datasample(
                name,
                # (3, H, W), BGR as loaded, to the RGB that visualizers draw on.
                picture.flip(0).permute(1, 2, 0).numpy(),
                data_sample=shown,
                out_file=str(self.out_dir / f"{name}.png"),
            )

    def _file_name(self, sample: TextRecogDataSample) -> str:
        """A name of letters, digits and few signs that no other sample has."""
        place = f"{sample.get('benchmark_set') or ''}:{sample.get('img_path') or self._seen}"
        name = f"{sample.get('benchmark_set') or ''}_{sample_name(sample)}"
        name = re.sub(r"[^\w.-]+", "_", name).strip("_") or str(self._seen)
        short = shortened(name, _LONGEST_NAME)
        taken = self._sample_of.setdefault(name.casefold(), place) != place
        # What the other processes have drawn is not known here.
        if taken or short != name or get_world_size() > 1:
            short = f"{short}_{zlib.crc32(place.encode(errors='surrogateescape')):08x}"
        return short


def _numbers(scores: torch.Tensor | Sequence[float]) -> list[float]:
    return scores.tolist() if isinstance(scores, torch.Tensor) else [float(x) for x in scores]
