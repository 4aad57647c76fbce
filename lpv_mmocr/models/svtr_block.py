"""Mixing blocks of the SVTR encoder (SVTR, arXiv 2205.00159, section 3.3)."""

from __future__ import annotations

import torch
from mmcv.cnn.bricks import DropPath
from torch import nn

from .attention import mask_bias, self_attention
from .token_linear import TokenLinear

LAYER_NORM_EPS = 1e-6


def local_window(grid: tuple[int, int], window: tuple[int, int]) -> torch.Tensor:
    """Return which tokens of a grid see each other in local mixing.

    Args:
        grid: Height h and width w of the token grid.
        window: Height and width of the window, both odd; it is centred on the query token and
            clipped at the border of the grid.

    Returns:
        Boolean tensor of shape (h*w, h*w): entry (i, j) is true where query token i sees token j.

    Raises:
        ValueError: If a side of the window is even, so that it has no centre token.
    """
    if window[0] % 2 == 0 or window[1] % 2 == 0:
        raise ValueError(f"window_size must be odd in both directions, got {tuple(window)}")
    rows = torch.arange(grid[0]).repeat_interleave(grid[1])
    columns = torch.arange(grid[1]).repeat(grid[0])
    near_rows = (rows[:, None] - rows[None]).abs() <= window[0] // 2
    near_columns = (columns[:, None] - columns[None]).abs() <= window[1] // 2
    return near_rows & near_columns


class MixingAttention(nn.Module):
    """Multi-head self-attention over all tokens (global) or over a window (local mixing).

    Args:
        dim: Feature width D.
        num_heads: Number of heads; must divide ``dim``.
        visible: Boolean tensor (L, L) from :func:`local_window` for local mixing, or None for
            global mixing.

    Raises:
        ValueError: If ``num_heads`` does not divide ``dim``.
    """

    bias: torch.Tensor | None

    def __init__(self, dim: int, num_heads: int, visible: torch.Tensor | None = None) -> None:
        super().__init__()
        if dim % num_heads:
            raise ValueError(f"num_heads={num_heads} does not divide the feature width {dim}")
        self.num_heads = num_heads
        self.qkv = TokenLinear(dim, 3 * dim)
        self.proj = TokenLinear(dim, dim)
        # Not persistent: the window is determined by the config, not by training.
        bias = None if visible is None else mask_bias(visible)
        self.register_buffer("bias", bias, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Mix the tokens.

        Args:
            x: Tokens of shape (N, L, D).

        Returns:
            Mixed tokens of shape (N, L, D).
        """
        return self.proj(self_attention(self.qkv(x), self.num_heads, self.bias))


class MixingBlock(nn.Module):
    """Pre-norm transformer block: ``x + DropPath(Mix(LN(x)))``, then ``x + DropPath(MLP(LN(x)))``.

    Args:
        dim: Feature width D.
        num_heads: Number of attention heads.
        mlp_ratio: Width of the hidden layer of the MLP, as a multiple of D.
        drop_path: Probability that a residual branch is dropped for a sample in training.
        visible: Which tokens see each other; see :class:`MixingAttention`.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        mlp_ratio: float,
        drop_path: float,
        visible: torch.Tensor | None,
    ) -> None:
        super().__init__()
        hidden = int(dim * mlp_ratio)
        self.norm1 = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.mixer = MixingAttention(dim, num_heads, visible)
        self.norm2 = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.mlp = nn.Sequential(TokenLinear(dim, hidden), nn.GELU(), TokenLinear(hidden, dim))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the block to tokens of shape (N, L, D); the shape is kept."""
        x = x + self.drop_path(self.mixer(self.norm1(x)))
        return x + self.drop_path(self.mlp(self.norm2(x)))
