"""Small benchmark sets, and samples with predictions."""

from __future__ import annotations

from pathlib import Path

from lpv_mmocr.datasets import LMDBWriter

import cv2
import numpy as np
from mmengine.structures import LabelData
from mmocr.structures import TextRecogDataSample

IMAGE = cv2.imencode(".png", np.full((8, 24, 3), 90, np.uint8))[1].tobytes()
PIPELINE = [
    dict(type="LoadImageFromNDArray"),
    dict(type="LoadOCRAnnotations", with_text=True),
    dict(type="Resize", scale=(64, 32)),
    dict(type="PackWordInputs"),
]


def write_set(path: Path, labels: list[str], images: list[bytes] | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with LMDBWriter(path) as writer:
        for image, label in zip(images or [IMAGE] * len(labels), labels, strict=True):
            writer.write(image, label)
    return path


def sample(label: str, reading: str, key: str, **meta) -> dict:
    """Return a sample as the evaluator passes it to a metric."""
    data_sample = TextRecogDataSample(
        gt_text=LabelData(item=label), pred_text=LabelData(item=reading, score=[0.5])
    )
    data_sample.set_metainfo({"sample_key": key, "img_path": "same for all", **meta})
    return data_sample.to_dict()
