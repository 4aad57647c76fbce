"""Models, samples and released weights for the tests."""

from __future__ import annotations

import json
import math
import zlib
from pathlib import Path

import lpv_mmocr  # noqa: F401  (registers the models)
from lpv_mmocr.converters.released import RELEASED_CHARACTERS, is_constant
from lpv_mmocr.models.sinusoid import sinusoidal_table
from lpv_mmocr.models.svtr_block import local_window

import numpy as np
import torch
from mmengine.structures import LabelData
from mmocr.registry import MODELS
from mmocr.structures import TextRecogDataSample
from torch import nn

PARITY = Path(__file__).parent / "data" / "parity"
SEED = 2022
DICTIONARY = dict(type="CharacterDictionary", characters=RELEASED_CHARACTERS[36])
# The published sizes, repeated here so that a mistake in the configs is noticed.
SIZES = dict(
    tiny=dict(
        img_size=(32, 100),
        embed_dims=(64, 128, 256),
        depths=(3, 6, 3),
        num_heads=(2, 4, 8),
        num_local_blocks=6,
        merge_strides=((1, 1), (1, 1)),
        glrm=dict(num_layers=2, ffn_dim=1024),
        trainable=8_109_842,
    ),
    small=dict(
        img_size=(32, 100),
        embed_dims=(96, 192, 256),
        depths=(3, 6, 6),
        num_heads=(3, 6, 8),
        num_local_blocks=8,
        merge_strides=((1, 1), (1, 1)),
        glrm=dict(num_layers=3, ffn_dim=1024),
        trainable=13_993_586,
    ),
    base=dict(
        img_size=(48, 160),
        embed_dims=(128, 256, 384),
        depths=(3, 6, 9),
        num_heads=(4, 8, 12),
        num_local_blocks=8,
        merge_strides=((2, 1), (1, 1)),
        glrm=dict(num_layers=3, ffn_dim=1536),
        trainable=35_132_610,
    ),
)
TOY_ENCODER = dict(
    type="LPVSVTREncoder",
    img_size=(16, 40),
    embed_dims=(16, 24),
    depths=(1, 2),
    num_heads=(2, 3),
    num_local_blocks=1,
    window_size=(3, 5),
    merge_strides=((2, 1),),
)


def decoder_config(in_channels: int, **overrides) -> dict:
    return dict(
        dict(
            type="CPADecoder",
            in_channels=in_channels,
            dictionary=DICTIONARY,
            module_loss=dict(type="CPAModuleLoss"),
            postprocessor=dict(type="CPAPostprocessor"),
            glrm=dict(num_layers=1, ffn_dim=32),
        ),
        **overrides,
    )


def build_size(size: str, with_mask: bool, drop: float = 0.1) -> nn.Module:
    settings = dict(SIZES[size])
    glrm = settings.pop("glrm")
    settings.pop("trainable")
    return MODELS.build(
        dict(
            type="LPV",
            encoder=dict(type="LPVSVTREncoder", drop_path_rate=drop, **settings),
            decoder=decoder_config(
                settings["embed_dims"][-1], glrm=dict(glrm, dropout=drop), with_mask=with_mask
            ),
        )
    )


def build_toy(**decoder_overrides) -> nn.Module:
    return MODELS.build(
        dict(
            type="LPV",
            encoder=TOY_ENCODER,
            decoder=decoder_config(24, **decoder_overrides),
        )
    )


def word_sample(text: str | None = None) -> TextRecogDataSample:
    sample = TextRecogDataSample()
    if text is not None:
        sample.gt_text = LabelData(item=text)
    return sample


def released_table(length: int, dim: int) -> torch.Tensor:
    """Return the sinusoidal table behind the numbers of the parity pack, bit by bit.

    The released formula and ours work in float32, where the last bit of an exponential or a sine
    depends on the processor. Random weights amplify that bit to 1e-5 in the logits, so a
    comparison within 1e-6 needs the same table. ``sinusoid_rounding.npz`` stores its differences
    from the exact values, in units in the last place.
    """
    with np.load(PARITY / "sinusoid_rounding.npz") as rounding:
        frequency_ulps, table_ulps = rounding[f"frequency_{dim}"], rounding[f"table_{dim}"]
    exponent = np.arange(0, dim, 2, dtype=np.float32) * np.float32(-math.log(10000.0) / dim)
    frequency = _shift(np.exp(exponent.astype(np.float64)).astype(np.float32), frequency_ulps)
    angle = (np.arange(length, dtype=np.float32)[:, None] * frequency).astype(np.float64)
    exact = np.stack([np.sin(angle), np.cos(angle)], axis=-1).reshape(length, dim)
    return torch.from_numpy(_shift(exact.astype(np.float32), table_ulps[:length]))


def _shift(values: np.ndarray, ulps: np.ndarray) -> np.ndarray:
    return (values.view(np.int32) + ulps).view(np.float32)


def released_shapes(size: str) -> dict[str, list[int]]:
    return json.loads((PARITY / f"official_{size}_state_dict.json").read_text())


def released_state_dict(size: str) -> dict[str, torch.Tensor]:
    """Return the released model's entries with the parity pack's values, seeded by their names."""
    settings = SIZES[size]
    grid = tuple(side // 4 for side in settings["img_size"])
    state = {}
    for name, shape in released_shapes(size).items():
        if is_constant(name):
            state[name] = _constant(name, shape, grid)
            continue
        rng = np.random.default_rng([SEED, zlib.crc32(name.encode())])
        if name.endswith("num_batches_tracked"):
            value = np.zeros(shape, dtype=np.int64)
        elif name.endswith("running_mean"):
            value = 0.1 * rng.standard_normal(shape)
        elif name.endswith("running_var"):
            value = rng.uniform(0.5, 1.5, shape)
        elif name.endswith("pos_embed"):
            value = 0.5 * rng.standard_normal(shape)
        elif len(shape) >= 2:
            gain = {"project.weight": 8, "in_proj_weight": 4}
            factor = next((g for end, g in gain.items() if name.endswith(end)), 1.5)
            value = factor / np.sqrt(np.prod(shape[1:])) * rng.standard_normal(shape)
        elif name.endswith("weight"):
            value = 1 + 0.1 * rng.standard_normal(shape)
        else:
            value = 0.1 * rng.standard_normal(shape)
        dtype = np.int64 if value.dtype == np.int64 else np.float32
        state[name] = torch.from_numpy(np.asarray(value, dtype=dtype))
    return state


def _constant(name: str, shape: list[int], grid: tuple[int, int]) -> torch.Tensor:
    if name.endswith(".pe"):
        return sinusoidal_table(shape[0], shape[2])[:, None]
    # Stage 2 of base has half the rows.
    rows = shape[-1] // grid[1]
    visible = local_window((rows, grid[1]), (7, 11))
    return torch.zeros(visible.shape).masked_fill(~visible, -torch.inf)[None, None]
