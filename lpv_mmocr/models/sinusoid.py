"""Sinusoidal position tables, shared by the position attentions and the GLRMs."""

from __future__ import annotations

import math

import torch
from torch import nn


def sinusoidal_table(length: int, dim: int) -> torch.Tensor:
    """Tabulate the sinusoidal position encoding of "Attention Is All You Need", section 3.5.

    ``table[p, 2i] = sin(p / 10000^(2i/dim))`` and ``table[p, 2i+1] = cos(p / 10000^(2i/dim))``.

    The table is computed in float32 whatever the default dtype is, as in the released LPV code:
    a table computed more exactly moves the logits of a trained model by up to 2e-5.

    Args:
        length: Number of positions.
        dim: Width of the features that the table is added to.

    Returns:
        Table of shape (length, dim), float32.
    """
    position = torch.arange(length, dtype=torch.float32)[:, None]
    even = torch.arange(0, dim, 2, dtype=torch.float32)
    angle = position * torch.exp(even * (-math.log(10000.0) / dim))
    table = torch.zeros(length, dim, dtype=torch.float32)
    table[:, 0::2] = angle.sin()
    table[:, 1::2] = angle.cos()[:, : dim // 2]
    return table


class SinusoidalPosition(nn.Module):
    """Adds the sinusoidal table to a sequence; the table grows to the longest sequence seen.

    The table is a function of its shape alone, so it stays out of the state dict.

    Args:
        dim: Width D of the sequence.
        length: Number of positions to tabulate at once; longer sequences extend the table.
    """

    table: torch.Tensor

    def __init__(self, dim: int, length: int = 0) -> None:
        super().__init__()
        self.dim = dim
        self.register_buffer("table", sinusoidal_table(length, dim), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``x`` plus the first L rows of the table.

        Args:
            x: Sequence of shape (N, L, D).

        Returns:
            Sequence of shape (N, L, D), in the dtype of ``x``.
        """
        length = x.shape[1]
        if length > self.table.shape[0]:
            self.table = sinusoidal_table(length, self.dim).to(x.device)
        return x + self.table[:length].to(x.dtype)
