"""Scaled dot-product attention, using the fastest implementation that PyTorch offers."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from .dropout import dropout as drop


def mask_bias(visible: torch.Tensor, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Return the bias that, added to attention scores, hides keys from queries.

    PyTorch's attention converts a boolean mask into this form at every call.

    Args:
        visible: Boolean tensor, true where a query may see a key.
        dtype: Float type of the result.

    Returns:
        Tensor of the same shape: 0 where ``visible`` is true, minus infinity elsewhere.
    """
    bias = torch.zeros(visible.shape, dtype=dtype, device=visible.device)
    return bias.masked_fill(~visible, -math.inf)


def self_attention(
    qkv: torch.Tensor,
    num_heads: int,
    bias: torch.Tensor | None = None,
    dropout: float = 0.0,
) -> torch.Tensor:
    """Compute multi-head self-attention, without its input and output projections.

    Args:
        qkv: Queries, keys and values of all heads, shape (N, L, 3 * D).
        num_heads: Number of heads.
        bias: Bias added to the scores, broadcast to (N, heads, L, L); or None. It must leave at
            least one key visible to every query.
        dropout: Probability that an attention weight is dropped.

    Returns:
        Mixed values of shape (N, L, D).
    """
    n, length, width = qkv.shape
    # Not -1 for the width of a head, which could not be inferred for an empty batch.
    heads = qkv.view(n, length, 3, num_heads, width // 3 // num_heads)
    query, key, value = heads.permute(2, 0, 3, 1, 4)
    if bias is not None:
        bias = bias.to(qkv.dtype)
    if qkv.device.type == "cpu" and (dropout or qkv.dtype is torch.bfloat16):
        # In bfloat16 this is two to three times as fast as the fused kernel for sequences as short
        # as LPV's. With dropout, PyTorch computes the same, but with its own slow dropout.
        scores = torch.matmul(query * query.shape[-1] ** -0.5, key.transpose(-1, -2))
        weights = (scores if bias is None else scores + bias).softmax(-1)
        mixed = torch.matmul(drop(weights, dropout) if dropout else weights, value)
    else:
        mixed = F.scaled_dot_product_attention(query, key, value, bias, dropout)
    return mixed.transpose(1, 2).reshape(n, length, width // 3)
