"""Initialise a larger LPV from a trained smaller one (Net2Net, arXiv 1511.05641)."""

from __future__ import annotations

import math

import torch
from torch import nn

from ..models.cpa_decoder import CPADecoder
from ..models.glrm import GLRM, MaskedEncoderLayer
from ..models.lpv import LPV
from ..models.position_attention import PositionAttention
from ..models.sinusoid import sinusoidal_table
from ..models.svtr_block import MixingAttention, MixingBlock
from ..models.svtr_encoder import LPVSVTREncoder

_QUIET = 0.1
"""Scale of new channels where zeros would prevent them from learning."""

_RIDGE = 1e-3
"""Ridge penalty on the weights that compensate for the larger model's position tables."""


class GrowthError(ValueError):
    """The larger model cannot contain the smaller one."""


@torch.no_grad()
def grow(small: LPV, large: LPV) -> None:
    """Make a larger model compute nearly the same function as a smaller one.

    Channels, heads and hidden units of the smaller model become some of those of the larger one.
    New ones keep their random input weights, but their weights towards the old ones start at zero,
    so that they have no effect at first and learn from the first step. New blocks add nothing to
    their input, so a model that is only deeper computes the same function. A wider model does so
    only approximately: layer norms now divide by the standard deviation of more channels, for which
    their scale compensates on average, and the position tables have other frequencies, of which
    every channel gets the nearest.

    Window, merge strides and mask may differ, because no weights depend on them. But a feature map
    of another height is new to the decoder, which then has to learn again where the characters are.

    Args:
        small: Trained model; not modified.
        large: Model to fill, with freshly initialised weights.

    Raises:
        GrowthError: If ``large`` is smaller in any respect, or differs in more than size: in the
            image size, channels or normalisation, the width of a head, the number of stages, GLRMs
            or positions, the dictionary; or if a model has modules other than an
            ``LPVSVTREncoder`` and a ``CPADecoder``.
    """
    for model in (small, large):
        _require_known_parts(model)
    _same("the normalisation of images", *map(_normalisation, (small, large)))
    channels = _encoder(small.encoder, large.encoder)
    _decoder(small.decoder, large.decoder, channels)


def matching_channels(small: int, large: int) -> torch.Tensor:
    """Return the channels of a wide position table whose frequencies are nearest to a narrow one's.

    Args:
        small: Width of the narrow table, even.
        large: Width of the wide table, even.

    Returns:
        Channels of the wide table, shape (small,), int64, strictly increasing.
    """
    # The i-th pair of sine and cosine has the frequency 10000^(-2i / width).
    pairs = (torch.arange(small // 2) * large / small).round().long()
    return torch.stack((2 * pairs, 2 * pairs + 1), 1).flatten()


def _require_known_parts(model: LPV) -> None:
    for name in ("preprocessor", "backbone"):
        if getattr(model, f"with_{name}"):
            raise GrowthError(f"models with a {name} cannot be grown")
    for name, kind in (("encoder", LPVSVTREncoder), ("decoder", CPADecoder)):
        part = getattr(model, name, None)
        if not isinstance(part, kind):
            raise GrowthError(f"the {name} must be {kind.__name__}, got {type(part).__name__}")
    kinds = [(part, PositionAttention) for part in model.decoder.attentions]
    kinds += [(part, GLRM) for part in model.decoder.glrms]
    for part, kind in kinds:
        if not isinstance(part, kind):
            raise GrowthError(
                f"a part of the decoder must be {kind.__name__}, got {type(part).__name__}"
            )
    if not all(len(stage) for stage in model.encoder.stages):
        raise GrowthError("every stage of the encoder needs a block")
    if not all(len(glrm.layers) for glrm in model.decoder.glrms):
        raise GrowthError("every GLRM needs a layer")


def _normalisation(model: LPV) -> str:
    preprocessor = model.data_preprocessor
    swaps = getattr(preprocessor, "_channel_conversion", False)  # not in other preprocessors
    order = "channels swapped" if swaps else "channels as loaded"
    if not getattr(preprocessor, "_enable_normalize", False):
        return order
    mean, std = (getattr(preprocessor, name).flatten().tolist() for name in ("mean", "std"))
    return f"mean {mean}, std {std}, {order}"


def _encoder(small: LPVSVTREncoder, large: LPVSVTREncoder) -> torch.Tensor:
    """Fill the encoder, and return the channels of its features that the small model fills."""
    _same("the image size", small.img_size, large.img_size)
    colours = small.patch_embed[0][0].in_channels
    _same("in_channels of the encoder", colours, large.patch_embed[0][0].in_channels)
    _same("the number of stages of the encoder", len(small.stages), len(large.stages))
    widths = [
        (_width(stage), _width(wide))
        for stage, wide in zip(small.stages, large.stages, strict=True)
    ]
    for before, after in widths:
        _no_smaller("the width of a stage of the encoder", before, after)
    if widths[-1][0] % 2 or widths[-1][1] % 2:
        raise GrowthError(f"the width of the last stage must be even, got {widths[-1]}")
    channels = [torch.arange(before) for before, _ in widths[:-1]]
    channels.append(matching_channels(*widths[-1]))

    hidden = torch.arange(small.patch_embed[0][0].out_channels)
    incoming = torch.arange(colours)
    large.patch_embed[-1][1].weight.mul_(_QUIET)
    for layer, wide, outgoing in zip(
        small.patch_embed, large.patch_embed, (hidden, channels[0]), strict=True
    ):
        _weights(layer[0], wide[0], outgoing, incoming)
        _batch_norm(layer[1], wide[1], outgoing)
        incoming = outgoing
    large.pos_embed[..., channels[0]] = small.pos_embed
    for index, places in enumerate(channels):
        _stage(index + 1, small.stages[index], large.stages[index], places)
        if index < len(small.merges):
            merge, wide = small.merges[index], large.merges[index]
            wide.conv.weight.mul_(_QUIET)
            _weights(merge.conv, wide.conv, channels[index + 1], places)
            _layer_norm(merge.norm, wide.norm, channels[index + 1])
    large.norm.weight.fill_(_QUIET)
    _layer_norm(small.norm, large.norm, channels[-1])
    return channels[-1]


def _stage(number: int, small: nn.Sequential, large: nn.Sequential, channels: torch.Tensor) -> None:
    """Fill the blocks of a stage, local ones from local ones; new blocks add nothing."""
    free = {
        is_local: [block for block in large if (block.mixer.bias is not None) == is_local]
        for is_local in (True, False)
    }
    for block in small:
        is_local = block.mixer.bias is not None
        kind = free[is_local]
        if not kind:
            name = "local" if is_local else "global"
            raise GrowthError(f"the larger model has fewer {name} blocks in stage {number}")
        _block(block, kind.pop(0), channels)
    for block in free[True] + free[False]:
        _silence(block.mixer.proj, block.mlp[2])


def _block(small: MixingBlock, large: MixingBlock, channels: torch.Tensor) -> None:
    _layer_norm(small.norm1, large.norm1, channels)
    _mixer(small.mixer, large.mixer, channels)
    _layer_norm(small.norm2, large.norm2, channels)
    _feed_forward((small.mlp[0], small.mlp[2]), (large.mlp[0], large.mlp[2]), channels)


def _mixer(small: MixingAttention, large: MixingAttention, channels: torch.Tensor) -> None:
    before, after = small.proj.in_features, large.proj.in_features
    _same("the width of a head", before // small.num_heads, after // large.num_heads)
    mixed = torch.arange(before)
    _weights(small.qkv, large.qkv, _qkv_rows(before, after), channels)
    _weights(small.proj, large.proj, channels, mixed)


def _feed_forward(
    small: tuple[nn.Linear, nn.Linear],
    large: tuple[nn.Linear, nn.Linear],
    channels: torch.Tensor,
) -> None:
    _no_smaller("the hidden width of a block", small[0].out_features, large[0].out_features)
    hidden = torch.arange(small[0].out_features)
    _weights(small[0], large[0], hidden, channels)
    _weights(small[1], large[1], channels, hidden)


def _decoder(small: CPADecoder, large: CPADecoder, channels: torch.Tensor) -> None:
    _same("num_stages", len(small.attentions), len(large.attentions))
    _same("the number of GLRMs", len(small.glrms), len(large.glrms))
    _same("the number of positions", small.num_positions, large.num_positions)
    for name in ("dict", "start_idx", "end_idx"):
        _same("the dictionary", getattr(small.dictionary, name), getattr(large.dictionary, name))
    for stage, (attention, wide) in enumerate(zip(small.attentions, large.attentions, strict=True)):
        _attention(attention, wide, channels, nothing_read=stage == 0)
    for classifier, wide in zip(small.classifiers, large.classifiers, strict=True):
        _weights(classifier, wide, torch.arange(classifier.out_features), channels)
    for glrm, wide in zip(small.glrms, large.glrms, strict=True):
        _glrm(glrm, wide, channels)


def _attention(
    small: PositionAttention, large: PositionAttention, channels: torch.Tensor, nothing_read: bool
) -> None:
    """Fill a position attention; ``nothing_read`` marks the first, whose characters are zeros."""
    before, after = small.query.in_features, large.query.in_features
    large.query.weight.zero_()  # queries ignore new keys at first
    large.query.bias.zero_()
    _weights(small.query, large.query, channels, channels)
    # Scores are divided by the square root of the width.
    stretch = math.sqrt(after / before)
    large.query.weight.mul_(stretch)
    large.query.bias.mul_(stretch)
    if after > before:
        _compensate_positions(small, large, channels, stretch, nothing_read)

    unet, wide = small.key_unet, large.key_unet
    _no_smaller("key_dim", unet.down[0][0].out_channels, wide.down[0][0].out_channels)
    hidden = torch.arange(unet.down[0][0].out_channels)
    incoming = channels
    for down, wide_down in zip(unet.down, wide.down, strict=True):
        _conv_norm(down, wide_down, hidden, incoming)
        incoming = hidden
    for index, (up, wide_up) in enumerate(zip(unet.up, wide.up, strict=True)):
        outgoing = channels if index == len(unet.up) - 1 else hidden
        _conv_norm(up, wide_up, outgoing, hidden)


def _compensate_positions(
    small: PositionAttention,
    large: PositionAttention,
    channels: torch.Tensor,
    stretch: float,
    nothing_read: bool,
) -> None:
    """Make the queries nearly those of the smaller model despite the different position table.

    Unless ``nothing_read``, only columns of new channels change, where characters are small.
    """
    before, after = small.query.in_features, large.query.in_features
    table = sinusoidal_table(small.num_positions, before).double()
    wide_table = sinusoidal_table(large.num_positions, after).double()
    wanted = stretch * table @ small.query.weight.double().T
    got = wide_table @ large.query.weight[channels].double().T
    new = torch.ones(after, dtype=torch.bool)
    new[channels] = nothing_read
    basis = wide_table[:, new]
    gram = basis @ basis.T
    ridge = _RIDGE * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
    correction = (basis.T @ torch.linalg.solve(gram + ridge, wanted - got)).T
    rows = large.query.weight[channels]
    rows[:, new] += correction.to(rows)
    large.query.weight[channels] = rows


def _glrm(small: GLRM, large: GLRM, channels: torch.Tensor) -> None:
    """Fill the layers of a GLRM; extra layers at the end pass their input on."""
    _no_smaller("num_layers", len(small.layers), len(large.layers))
    for layer, wide in zip(small.layers, large.layers, strict=False):
        _layer(layer, wide, channels)
    more = list(large.layers)[len(small.layers) :]
    if not more:
        return
    # Post-norm: successive layer norms without scale and shift change nothing; the last one gets
    # the scale and shift of the smaller model's last.
    norms = [large.layers[len(small.layers) - 1].norm2]
    for layer in more:
        norms += [layer.norm1, layer.norm2]
    norms[-1].load_state_dict(norms[0].state_dict())
    for norm in norms[:-1]:
        norm.reset_parameters()
    for layer in more:
        _silence(layer.self_attn.out_proj, layer.linear2)


def _layer(small: MaskedEncoderLayer, large: MaskedEncoderLayer, channels: torch.Tensor) -> None:
    attention, wide = small.self_attn, large.self_attn
    before, after = attention.embed_dim, wide.embed_dim
    _same("the width of a head of the GLRM", attention.head_dim, wide.head_dim)
    rows = _qkv_rows(before, after)
    _place(attention.in_proj_weight, wide.in_proj_weight, rows, channels)
    wide.in_proj_bias[rows] = attention.in_proj_bias
    _weights(attention.out_proj, wide.out_proj, channels, torch.arange(before))
    for name in ("norm1", "norm2"):
        norm, wide_norm = getattr(small, name), getattr(large, name)
        wide_norm.weight.fill_(_QUIET)  # for the new channels, which also have a position
        _layer_norm(norm, wide_norm, channels)
    _feed_forward((small.linear1, small.linear2), (large.linear1, large.linear2), channels)


def _silence(*layers: nn.Linear) -> None:
    for layer in layers:
        layer.weight.zero_()
        layer.bias.zero_()


def _conv_norm(
    small: nn.Sequential, large: nn.Sequential, rows: torch.Tensor, columns: torch.Tensor
) -> None:
    _weights(small[0], large[0], rows, columns)
    _batch_norm(small[1], large[1], rows)


def _weights(
    small: nn.Linear | nn.Conv2d,
    large: nn.Linear | nn.Conv2d,
    rows: torch.Tensor,
    columns: torch.Tensor,
) -> None:
    """Fill a linear layer or a convolution."""
    _place(small.weight, large.weight, rows, columns)
    large.bias[rows] = small.bias


def _place(
    small: torch.Tensor, large: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor
) -> None:
    """Fill rows of a weight; their entries for new columns become zero."""
    large[rows] = 0
    large[rows[:, None], columns] = small.to(large)


def _batch_norm(small: nn.BatchNorm2d, large: nn.BatchNorm2d, channels: torch.Tensor) -> None:
    for name in ("weight", "bias", "running_mean", "running_var"):
        getattr(large, name)[channels] = getattr(small, name)


def _layer_norm(small: nn.LayerNorm, large: nn.LayerNorm, channels: torch.Tensor) -> None:
    """Fill a layer norm, which now divides by the deviation of more channels, new ones small."""
    ratio = small.normalized_shape[0] / large.normalized_shape[0]
    large.weight[channels] = small.weight * math.sqrt(ratio)
    large.bias[channels] = small.bias


def _qkv_rows(before: int, after: int) -> torch.Tensor:
    """Return the larger model's query, key and value rows for the smaller model's heads."""
    return torch.cat([part * after + torch.arange(before) for part in range(3)])


def _width(stage: nn.Sequential) -> int:
    return stage[0].norm1.normalized_shape[0]


def _same(what: str, small: object, large: object) -> None:
    if small != large:
        raise GrowthError(f"{what} must be the same, got {small} and {large}")


def _no_smaller(what: str, small: int, large: int) -> None:
    if large < small:
        raise GrowthError(f"{what} must not be smaller, got {small} and then {large}")
