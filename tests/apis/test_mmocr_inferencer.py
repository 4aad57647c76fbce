"""Tests of MMOCR's inferencer with a detector of its zoo and an LPV recogniser."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import torch
from inference_cases import noise
from mmengine.config import Config
from mmocr.apis import MMOCRInferencer


def detector_config() -> Config:
    """Return a DBNet without deformable convolutions, which detects the complete image."""
    config = Config.fromfile("mmocr::textdet/dbnet/dbnet_resnet18_fpnc_1200e_icdar2015.py")
    (resize,) = [t for t in config.test_dataloader.dataset.pipeline if t.type == "Resize"]
    resize.scale = (256, 192)
    return config


@pytest.fixture(scope="module")
def ocr(toy):
    torch.manual_seed(0)
    return MMOCRInferencer(det=detector_config(), rec=str(toy[0]), rec_weights=str(toy[1]))


def test_detected_words_are_read(ocr, reader, tmp_path):
    photo = noise(96, 128)
    cv2.imwrite(str(tmp_path / "photo.png"), photo)
    options = dict(save_vis=True, save_pred=True, return_vis=True, out_dir=str(tmp_path / "out"))
    results = ocr(str(tmp_path / "photo.png"), **options)
    (answer,) = results["predictions"]
    assert len(answer["det_polygons"]) == len(answer["rec_texts"]) == len(answer["rec_scores"]) > 0
    polygon = np.array(answer["det_polygons"][0]).reshape(-1, 2)
    x0, y0, x1, y1 = *polygon.min(0), *polygon.max(0)
    assert x1 - x0 > 100 and y1 - y0 > 70
    assert json.loads((tmp_path / "out/preds/photo.json").read_text()) == answer
    assert (tmp_path / "out/vis/photo.jpg").is_file()
    assert results["visualization"][0].shape == (96, 2 * 128, 3)


def test_image_without_detections_has_no_texts(ocr, monkeypatch):
    postprocessor = ocr.textdet_inferencer.model.det_head.postprocessor
    monkeypatch.setattr(postprocessor, "min_text_score", 2.0)
    (answer,) = ocr(noise(96, 128))["predictions"]
    assert answer["rec_texts"] == answer["det_polygons"] == []
