"""Tests that recognisers of MMOCR's zoo run on the patched stack."""

from __future__ import annotations

import lpv_mmocr  # noqa: F401  (patches the stack)

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmocr.registry import MODELS
from mmocr.structures import TextRecogDataSample

# Name of the config, and input size of its test pipeline (height, width).
ZOO = {
    "crnn/crnn_mini-vgg_5e_mj.py": (32, 100),
    "svtr/svtr-tiny_20e_st_mj.py": (64, 256),
    "aster/aster_resnet45_6e_st_mj.py": (64, 256),
    "nrtr/nrtr_modality-transform_6e_st_mj.py": (32, 100),
    "abinet/abinet-vision_20e_st-an_mj.py": (32, 128),
    "abinet/abinet_20e_st-an_mj.py": (32, 128),
    "satrn/satrn_shallow-small_5e_st_mj.py": (32, 100),
    "sar/sar_resnet31_parallel-decoder_5e_st-sub_mj-sub_sa_real.py": (48, 160),
    "robust_scanner/robustscanner_resnet31_5e_st-sub_mj-sub_sa_real.py": (48, 160),
    "master/master_resnet31_12e_st_mj_sa.py": (48, 160),
}


def without_downloads(model: dict) -> dict:
    """Drop every ``init_cfg``, some of which fetch pretrained weights."""
    for key, value in list(model.items()):
        if key == "init_cfg":
            model[key] = None
        elif isinstance(value, dict):
            without_downloads(value)
    return model


HEAVY = ("sar/sar_resnet31_parallel-decoder_5e_st-sub_mj-sub_sa_real.py",)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in HEAVY else ()) for name in ZOO]
)
def test_zoo_recogniser_predicts(name):
    config = Config.fromfile(f"mmocr::textrecog/{name}")
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope("mmocr"):
        model = MODELS.build(without_downloads(config.model)).eval()
    height, width = ZOO[name]
    channels = 1 if config.test_pipeline[0].get("color_type") == "grayscale" else 3
    batch = {"inputs": [], "data_samples": []}
    for _ in range(2):
        sample = TextRecogDataSample()
        sample.set_metainfo({"valid_ratio": 1.0, "img_shape": (height, width)})
        batch["data_samples"].append(sample)
        image = torch.randint(0, 256, (channels, height, width), dtype=torch.uint8)
        batch["inputs"].append(image)
    results = model.test_step(batch)
    assert len(results) == 2
    for result in results:
        characters = result.pred_text.item.replace("<UKN>", "?")
        assert len(result.pred_text.score) == len(characters)
