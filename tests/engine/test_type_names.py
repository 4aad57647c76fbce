"""Tests of configs that import their classes."""

from __future__ import annotations

from lpv_mmocr import cli
from lpv_mmocr.datasets.config_pipeline import steps_without_tta
from lpv_mmocr.engine.amp import enable_amp
from lpv_mmocr.engine.config_characters import untaught_characters
from lpv_mmocr.engine.inference_config import restricted_config

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmocr.registry import MODELS

PURE = """
from lpv_mmocr.datasets import LPVLMDBDataset
from lpv_mmocr.datasets.transforms import LoadWordImage, PackWordInputs, WordLook
from lpv_mmocr.models import LPV, CharacterDictionary, CPADecoder, CPAModuleLoss, CPAPostprocessor
from lpv_mmocr.models import GLRM, LPVSVTREncoder, PositionAttention, WordDataPreprocessor
from mmcv.transforms import TestTimeAug
from mmengine.dataset import pseudo_collate
from mmengine.optim import OptimWrapper
from mmocr.datasets.transforms import Resize
from mmdet.models import DetDataPreprocessor
from torch.optim import AdamW

default_scope = "mmocr"
model = dict(
    type=LPV,
    encoder=dict(type=LPVSVTREncoder, img_size=(16, 32), embed_dims=(8, 8, 16), depths=(1, 1, 1),
        num_heads=(1, 1, 2), num_local_blocks=1),
    decoder=dict(type=CPADecoder, in_channels=16, attention=dict(type=PositionAttention),
        glrm=dict(type=GLRM, num_layers=1, num_heads=2, ffn_dim=16),
        module_loss=dict(type=CPAModuleLoss, letter_case="lower"),
        postprocessor=dict(type=CPAPostprocessor),
        dictionary=dict(type=CharacterDictionary, characters="0123456789abcA")),
    data_preprocessor=dict(type=WordDataPreprocessor, mean=[0, 0, 0], std=[1, 1, 1]),
)
resize = dict(type=Resize, scale=(32, 16))
test_pipeline = [dict(type=LoadWordImage), resize, dict(type=PackWordInputs)]
looks = [dict(type=WordLook), dict(type=WordLook, turn=10)]
tta_pipeline = [
    dict(type=LoadWordImage),
    dict(type=TestTimeAug, transforms=(looks, [resize], [dict(type=PackWordInputs)])),
]
train_dataloader = dict(dataset=dict(type=LPVLMDBDataset, ann_file="x"), collate_fn=pseudo_collate)
optim_wrapper = dict(type=OptimWrapper, optimizer=dict(type=AdamW, lr=1e-3))
detector = dict(data_preprocessor=dict(type=DetDataPreprocessor))
"""


@pytest.fixture
def cfg(tmp_path) -> Config:
    (tmp_path / "pure.py").write_text(PURE)
    return cli.load_config(str(tmp_path / "pure.py"))


def test_registered_classes_become_names(cfg):
    assert cfg.model.type == "LPV"
    assert cfg.model.decoder.glrm.type == "GLRM"
    assert cfg.optim_wrapper.optimizer.type == "AdamW"
    assert cfg.detector.data_preprocessor.type == "mmdet.DetDataPreprocessor"
    assert cfg.tta_pipeline[1].transforms[0][1].type == "WordLook"
    assert "lpv_mmocr" not in cfg.pretty_text


def test_class_becomes_its_name_if_the_config_is_the_first_to_import_it(site):
    (site / "late_model.py").write_text(
        "from mmocr.registry import MODELS\n"
        "@MODELS.register_module(name='LateName')\n"
        "class LateModel: pass\n"
    )
    (site / "late.py").write_text(
        "from late_model import LateModel\nmodel = dict(type=LateModel)\n"
    )
    cfg = cli.load_config(str(site / "late.py"))
    MODELS.module_dict.pop("LateName")
    assert cfg.model.type == "mmocr.LateName"


def test_model_can_be_built(cfg):
    init_default_scope("mmocr")
    assert type(MODELS.build(cfg.model)).__name__ == "LPV"


def test_checks_of_the_tools_understand_the_config(cfg):
    init_default_scope("mmocr")
    enable_amp(cfg.optim_wrapper)
    assert cfg.optim_wrapper.type == "AutocastOptimWrapper"
    assert steps_without_tta(cfg.test_pipeline, cfg.tta_pipeline) == []
    assert untaught_characters(cfg) == "A"


def test_config_inside_a_checkpoint_can_be_used(cfg):
    assert restricted_config(cfg.pretty_text)["model"]["type"] == "LPV"
