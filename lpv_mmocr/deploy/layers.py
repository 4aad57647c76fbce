"""Layers of LPV in the form that inference runs fastest."""

from __future__ import annotations

import math
from collections.abc import Callable

from lpv_mmocr.models.glrm import GLRM, MaskedEncoderLayer, TokenMask
from lpv_mmocr.models.position_attention import PositionAttention
from lpv_mmocr.models.svtr_block import MixingAttention

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .onednn import ACTIVATIONS, PackedConv2d, PackedLinear


def fold_batch_norm(model: nn.Module) -> None:
    """Fold every batch norm that directly follows a convolution into it, in place.

    ``BN(Wx + b) = (gW/s) x + (b - m) g/s + c``, with scale g, shift c, mean m and deviation s of
    the batch norm: one layer less, and the same function.

    Args:
        model: Module in evaluation mode.
    """
    for module in model.modules():
        if not isinstance(module, nn.Sequential):
            continue
        for index in range(len(module) - 1):
            conv, norm = module[index], module[index + 1]
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                module[index] = fuse_conv_bn_eval(conv, norm)
                module[index + 1] = nn.Identity()


def split_heads_scaled(weight: nn.Parameter, bias: nn.Parameter, heads: int) -> nn.Linear:
    """Make the projection to queries, keys and values, with the attention's scale inside.

    Args:
        weight: Weight of shape (3 * D, D): queries, keys, values.
        bias: Bias of shape (3 * D,).
        heads: Number of heads.

    Returns:
        The projection; its queries are those of ``weight`` divided by ``sqrt(D / heads)``.
    """
    width = weight.shape[1]
    scale = torch.ones(3 * width, dtype=weight.dtype, device=weight.device)
    scale[:width] = (width / heads) ** -0.5
    return _linear(weight * scale[:, None], bias * scale)


def _linear(weight: torch.Tensor, bias: torch.Tensor) -> nn.Linear:
    linear = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    linear.weight, linear.bias = nn.Parameter(weight), nn.Parameter(bias)
    return linear


def hiding_bias(visible: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """What is added to attention scores: 0 where a query may see a key, minus infinity elsewhere.

    PyTorch's attention turns a boolean mask into this form at every call.
    """
    return torch.zeros(visible.shape, dtype=dtype, device=visible.device).masked_fill_(
        ~visible, -math.inf
    )


def attend(qkv: torch.Tensor, heads: int, bias: torch.Tensor | None) -> torch.Tensor:
    """Multi-head self-attention between the two projections.

    Args:
        qkv: Scaled queries, keys and values of all heads, shape (N, L, 3 * D).
        heads: Number of heads.
        bias: Added to the scores, broadcast to (N, heads, L, L); or None.

    Returns:
        Mixed values of shape (N, L, D).
    """
    n, length, width = qkv.shape
    query, key, value = qkv.view(n, length, 3, heads, -1).permute(2, 0, 3, 1, 4)
    if qkv.dtype is torch.bfloat16 and not qkv.is_cuda:
        # Twice as fast as the fused form for sequences as short as LPV's (a few hundred tokens).
        scores = torch.matmul(query, key.transpose(-1, -2))
        if bias is not None:
            scores += bias
        mixed = torch.matmul(scores.softmax(-1), value)
    else:
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=bias, scale=1.0)
    return mixed.transpose(1, 2).reshape(n, length, width // 3)


class ReadingMixer(nn.Module):
    """The attention of an encoder block with its window as a bias.

    Args:
        mixer: The trained attention.
    """

    bias: torch.Tensor | None

    def __init__(self, mixer: MixingAttention) -> None:
        super().__init__()
        self.num_heads = mixer.num_heads
        self.qkv = split_heads_scaled(mixer.qkv.weight, mixer.qkv.bias, mixer.num_heads)
        self.proj = mixer.proj
        bias = None if mixer.visible is None else hiding_bias(mixer.visible, torch.float32)
        self.register_buffer("bias", bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Mix tokens of shape (N, L, D); the shape is kept."""
        return self.proj(attend(self.qkv(x), self.num_heads, self.bias))


class ReadingEncoderLayer(nn.Module):
    """A GLRM's transformer layer without dropout, whose projections are layers of their own.

    Args:
        layer: The trained layer.
    """

    def __init__(self, layer: MaskedEncoderLayer) -> None:
        super().__init__()
        attention = layer.self_attn
        self.num_heads = attention.num_heads
        self.qkv = split_heads_scaled(
            attention.in_proj_weight, attention.in_proj_bias, attention.num_heads
        )
        self.proj = _linear(attention.out_proj.weight, attention.out_proj.bias)
        self.mlp = nn.Sequential(layer.linear1, nn.GELU(), layer.linear2)
        self.norm1, self.norm2 = layer.norm1, layer.norm2

    def forward(
        self, x: torch.Tensor, bias: torch.Tensor | None, blind: torch.Tensor | None
    ) -> torch.Tensor:
        """Apply the layer.

        Args:
            x: Tokens of shape (N, L, D).
            bias: Added to the scores, shape (N, 1, L, L), or None.
            blind: Tokens that see nothing, shape (N, L, 1), or None.

        Returns:
            Tokens of shape (N, L, D).
        """
        mixed = attend(self.qkv(x), self.num_heads, bias)
        if blind is not None:
            mixed = mixed.masked_fill_(blind, 0.0)
        x = self.norm1(x + self.proj(mixed))
        return self.norm2(x + self.mlp(x))


class ReadingGLRM(nn.Module):
    """A GLRM without dropout, which prepares its mask once for all layers.

    Args:
        glrm: The trained module.
    """

    def __init__(self, glrm: GLRM) -> None:
        super().__init__()
        self.position = glrm.position
        self.layers = nn.ModuleList(map(ReadingEncoderLayer, glrm.layers))

    def forward(
        self, features: torch.Tensor, forbidden: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Rebuild a feature map (N, D, h, w), see ``GLRM.forward``."""
        x = self.position(features.flatten(2).transpose(1, 2))
        bias = blind = None
        if forbidden is not None:
            mask = TokenMask.hiding(forbidden)
            bias, blind = hiding_bias(mask.visible, x.dtype), mask.blind[:, 0]
        for layer in self.layers:
            x = layer(x, bias, blind)
        return x.transpose(1, 2).unflatten(2, features.shape[-2:])


class ConstantQuery(nn.Module):
    """The queries of the first stage, which are the same for every picture.

    Args:
        attention: Position attention of the first stage.
    """

    def __init__(self, attention: PositionAttention) -> None:
        super().__init__()
        table = attention.position.table[None]
        self.register_buffer("queries", attention.query(table.to(attention.query.weight.dtype)))

    def forward(self, characters: torch.Tensor) -> torch.Tensor:
        """Return queries of shape (1, T, D), whatever the character vectors are."""
        return self.queries


def replace_layers(model: nn.Module) -> None:
    """Put the forms for inference in place of what only training needs.

    Args:
        model: LPV in evaluation mode.
    """
    _replace(model, MixingAttention, ReadingMixer)
    _replace(model, GLRM, ReadingGLRM)
    decoder = model.decoder
    del decoder.classifiers[:-1]
    first = decoder.attentions[0]
    if isinstance(first, PositionAttention):
        first.query = ConstantQuery(first)
        first.position = nn.Identity()


def pack(model: nn.Module) -> None:
    """Pack linear layers and convolutions with the activations behind them, in place."""
    for module in model.modules():
        if isinstance(module, nn.Sequential):
            _pack_sequence(module)
    _replace(model, nn.Linear, PackedLinear)
    _replace(model, nn.Conv2d, PackedConv2d)


def _pack_sequence(sequence: nn.Sequential) -> None:
    """Join layers of a sequence with the activations that follow them."""
    layers = [layer for layer in sequence if not isinstance(layer, nn.Identity)]
    joined: list[nn.Module] = []
    for layer in layers:
        before = joined[-1] if joined else None
        if type(layer) in ACTIVATIONS and isinstance(before, nn.Linear):
            joined[-1] = PackedLinear(before, layer)
        elif type(layer) in ACTIVATIONS and isinstance(before, nn.Conv2d):
            joined[-1] = PackedConv2d(before, layer)
        else:
            joined.append(layer)
    for index in reversed(range(len(sequence))):
        del sequence[index]
    sequence.extend(joined)


def _replace(
    model: nn.Module,
    kind: type[nn.Module],
    make: Callable[[nn.Module], nn.Module],
) -> None:
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if type(child) is kind:  # a class of somebody else's may do something else
                setattr(parent, name, make(child))
