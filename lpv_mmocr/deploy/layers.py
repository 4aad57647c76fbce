"""LPV's layers in the form that is fastest for inference."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ..models.glrm import MaskedEncoderLayer, TokenMask, masked_attention
from ..models.position_attention import PositionAttention
from ..models.token_linear import TokenLinear
from .onednn import ACTIVATIONS, PackedConv2d, PackedLinear


def fold_batch_norm(model: nn.Module) -> None:
    """Fold every batch norm that directly follows a convolution into it, in place.

    ``BN(Wx + b) = (gW/s) x + (b - m) g/s + c``, with scale g, shift c, mean m and standard
    deviation s of the batch norm: the same function with one layer less.

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


def _linear(weight: torch.Tensor, bias: torch.Tensor) -> nn.Linear:
    linear = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    linear.weight, linear.bias = nn.Parameter(weight), nn.Parameter(bias)
    return linear


class ReadingEncoderLayer(nn.Module):
    """Transformer layer of a GLRM without dropout, with its projections as separate layers.

    Args:
        layer: Trained layer.
    """

    def __init__(self, layer: MaskedEncoderLayer) -> None:
        super().__init__()
        attention = layer.self_attn
        self.num_heads = attention.num_heads
        self.qkv = _linear(attention.in_proj_weight, attention.in_proj_bias)
        self.proj = _linear(attention.out_proj.weight, attention.out_proj.bias)
        self.mlp = nn.Sequential(layer.linear1, nn.GELU(), layer.linear2)
        self.norm1, self.norm2 = layer.norm1, layer.norm2

    def forward(self, x: torch.Tensor, mask: TokenMask | None) -> torch.Tensor:
        """Apply the layer to tokens of shape (N, L, D); the shape is kept."""
        mixed = masked_attention(self.qkv(x), self.num_heads, mask)
        x = self.norm1(x + self.proj(mixed))
        return self.norm2(x + self.mlp(x))


class ConstantQuery(nn.Module):
    """Queries of the first stage, which are the same for every image.

    Args:
        attention: Position attention of the first stage.
    """

    def __init__(self, attention: PositionAttention) -> None:
        super().__init__()
        table = attention.position.rows(attention.num_positions, attention.query.weight)
        self.register_buffer("queries", attention.query(table[None]))

    def forward(self, characters: torch.Tensor) -> torch.Tensor:
        """Return queries of shape (1, T, D), whatever the character vectors are."""
        return self.queries


def replace_layers(model: nn.Module) -> None:
    """Replace layers with their inference forms and remove what only training needs, in place.

    Args:
        model: LPV in evaluation mode.
    """
    _replace(model, MaskedEncoderLayer, ReadingEncoderLayer)
    decoder = model.decoder
    del decoder.classifiers[:-1]
    first = decoder.attentions[0]
    if type(first) is PositionAttention:
        first.query = ConstantQuery(first)
        first.position = nn.Identity()


def pack(model: nn.Module) -> None:
    """Pack linear layers and convolutions with the activations that follow them, in place."""
    for module in model.modules():
        if isinstance(module, nn.Sequential):
            _pack_sequence(module)
    for kind in (nn.Linear, TokenLinear):
        _replace(model, kind, PackedLinear)
    _replace(model, nn.Conv2d, PackedConv2d)


def standard_layers(model: nn.Module) -> None:
    """Replace the linear layers that choose between libraries with PyTorch's own, in place."""
    _replace(model, TokenLinear, lambda layer: _linear(layer.weight, layer.bias))


def _pack_sequence(sequence: nn.Sequential) -> None:
    """Fuse the layers of a sequence with the activations that follow them."""
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
            if type(child) is kind:  # a derived class may compute something else
                setattr(parent, name, make(child))
