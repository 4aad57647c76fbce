"""Tests of the SVTR encoder."""

from __future__ import annotations

import math
import re

from lpv_mmocr.models import LPVSVTREncoder
from lpv_mmocr.models.svtr_block import MixingAttention, local_window

import pytest
import torch
from lpv_cases import SIZES, TOY_ENCODER, word_sample
from mmengine.config import Config
from mmocr.registry import MODELS


def _encoder(**overrides) -> LPVSVTREncoder:
    return MODELS.build({**TOY_ENCODER, **overrides})


def _size(name: str) -> LPVSVTREncoder:
    settings = {k: v for k, v in SIZES[name].items() if k not in ("glrm", "trainable")}
    return LPVSVTREncoder(**settings)


@pytest.mark.parametrize(
    ("img_size", "strides", "grid"),
    [
        ((32, 100), ((1, 1), (1, 1)), (8, 25)),
        ((48, 160), ((2, 1), (1, 1)), (6, 40)),
        ((33, 99), ((2, 2), (1, 1)), (5, 13)),  # rounds up where a stride does not divide
    ],
)
def test_output_grid(img_size, strides, grid):
    encoder = _encoder(
        img_size=img_size,
        embed_dims=(8, 8, 12),
        depths=(1, 1, 1),
        num_heads=(1, 1, 1),
        merge_strides=strides,
    )
    assert encoder(torch.rand(2, 3, *img_size)).shape == (2, 12, *grid)


def test_one_stage_without_merging():
    encoder = _encoder(embed_dims=(8,), depths=(1,), num_heads=(2,), merge_strides=())
    assert encoder(torch.rand(1, 3, 16, 40)).shape == (1, 8, 4, 10)


def test_local_window_follows_its_definition():
    height, width = 4, 6
    visible = local_window((height, width), (3, 5))
    for query in range(height * width):
        for key in range(height * width):
            rows = abs(query // width - key // width)
            columns = abs(query % width - key % width)
            assert visible[query, key] == (rows <= 1 and columns <= 2)


def test_local_mixing_ignores_tokens_outside_the_window():
    torch.manual_seed(0)
    mixer = MixingAttention(8, 2, local_window((1, 9), (1, 3)))
    tokens = torch.rand(1, 9, 8)
    changed = tokens.clone()
    changed[0, 8] += 1
    moved = (mixer(tokens) - mixer(changed)).abs().amax((0, 2)) > 1e-6
    assert moved.tolist() == [False] * 7 + [True] * 2


def test_number_of_local_blocks_counts_over_stages():
    encoder = _size("base")
    local = [block.mixer.bias is not None for stage in encoder.stages for block in stage]
    assert local == [True] * 8 + [False] * 10
    assert encoder.stages[1][0].mixer.bias.shape == (240, 240)


def test_defaults_are_those_of_lpv_tiny():
    tiny, default = _size("tiny"), LPVSVTREncoder()
    assert str(default) == str(tiny)
    assert (default.img_size, default.grids) == (tiny.img_size, tiny.grids)
    for mine, theirs in zip(default.buffers(), tiny.buffers(), strict=True):
        assert torch.equal(mine, theirs)


def test_local_windows_are_not_in_the_state_dict():
    assert not [name for name in _encoder().state_dict() if name.endswith("mixer.bias")]


def test_drop_path_grows_linearly():
    rates = [block.drop_path.drop_prob for stage in _size("tiny").stages for block in stage]
    assert rates == pytest.approx([0.1 * i / 11 for i in range(12)])


def test_initial_weights_have_the_expected_statistics():
    encoder = _size("tiny")
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    encoder.init_weights()
    assert encoder.pos_embed.std().item() == pytest.approx(0.02, rel=0.05)
    for name, module in encoder.named_modules():
        if isinstance(module, torch.nn.Linear):
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.05), name
            assert not module.bias.any(), name
            assert not torch.equal(module.weight, before[f"{name}.weight"]), name
        elif isinstance(module, torch.nn.Conv2d):
            std = math.sqrt(2 / (module.out_channels * 9))
            assert module.weight.std().item() == pytest.approx(std, rel=0.1), name
            assert not module.bias.any(), name
        elif isinstance(module, (torch.nn.LayerNorm, torch.nn.BatchNorm2d)):
            assert (module.weight == 1).all(), name
            assert not module.bias.any(), name


def test_norm_layers_have_the_expected_epsilons():
    encoder = _size("tiny")
    assert encoder.norm.eps == 1e-6
    assert {block.norm1.eps for stage in encoder.stages for block in stage} == {1e-6}
    assert {merge.norm.eps for merge in encoder.merges} == {1e-5}


def test_wrong_image_size_is_reported():
    with pytest.raises(ValueError, match=re.escape("images of 16x40 (height x width), got 32x100")):
        _encoder()(torch.rand(1, 3, 32, 100))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (dict(depths=(1,)), "one entry per stage"),
        (dict(num_local_blocks=9), "num_local_blocks must lie between 0 and the 3 blocks"),
        (dict(window_size=(4, 5)), "window_size must be odd"),
        (dict(window_size=(7,)), r"window_size needs two positive numbers, got \(7,\)"),
        (dict(img_size=(32,)), "img_size needs two positive numbers"),
        (dict(merge_strides=((0, 1),)), r"merge_strides needs two positive numbers, got \(0, 1\)"),
        (dict(drop_path_rate=1.0), "drop_path_rate must be at least 0 and below 1, got 1.0"),
        (dict(depths=(3, -1)), "depths must not be negative"),
        (dict(num_heads=(3, 3)), "num_heads=3 does not divide the feature width 16"),
    ],
)
def test_bad_arguments(overrides, message):
    with pytest.raises(ValueError, match=message):
        LPVSVTREncoder(**{**{k: v for k, v in TOY_ENCODER.items() if k != "type"}, **overrides})


def test_checkpointing_changes_memory_only():
    gradients, kept = [], []
    for with_cp in (False, True):
        torch.manual_seed(0)
        encoder = MODELS.build(dict(TOY_ENCODER, with_cp=with_cp, drop_path_rate=0.5)).train()
        encoder.init_weights()
        saved: list[int] = []

        def note(tensor: torch.Tensor, saved: list[int] = saved) -> torch.Tensor:
            saved.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            loss = encoder(torch.rand(2, 3, 16, 40, generator=torch.manual_seed(1))).square().sum()
        loss.backward()
        kept.append(sum(saved))
        gradients.append([parameter.grad for parameter in encoder.parameters()])
    for plain, checkpointed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, checkpointed)
    assert kept[1] < 0.6 * kept[0]


def test_encoder_can_be_built_without_memory():
    with torch.device("meta"):
        assert next(MODELS.build(TOY_ENCODER).parameters()).is_meta


@pytest.mark.parametrize(
    "config",
    [
        "nrtr/_base_nrtr_resnet31",
        "sar/_base_sar_resnet31_parallel-decoder",
        "master/_base_master_resnet31",
        "robust_scanner/_base_robustscanner_resnet31",
    ],
)
def test_encoder_is_a_backbone_for_recognisers_of_mmocr(config):
    """They expect feature maps of 512 channels."""
    model_config = Config.fromfile(f"mmocr::textrecog/{config}.py").model
    backbone = {**TOY_ENCODER, "embed_dims": (16, 512), "num_heads": (2, 4)}
    model = MODELS.build({**model_config, "backbone": backbone, "_scope_": "mmocr"})
    texts = ["to", "let"]
    batch = [word_sample(text) for text in texts]
    for sample in batch:
        sample.set_metainfo(dict(valid_ratio=1.0))
    images = torch.rand(2, 3, 16, 40)
    loss = sum(value.mean() for value in model.loss(images, batch).values())
    loss.backward()
    assert next(model.backbone.parameters()).grad.norm() > 0
    with torch.no_grad():
        read = model.eval().predict(images, batch)
    assert all(isinstance(sample.pred_text.item, str) for sample in read)
