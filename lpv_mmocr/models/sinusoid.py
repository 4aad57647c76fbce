"""Sinusoidal position tables, shared by the position attentions and the GLRMs."""

from __future__ import annotations

import math

import torch
from torch import nn


def sinusoidal_table(length: int, dim: int, device: torch.device | str = "cpu") -> torch.Tensor:
    """Return the sinusoidal position encoding of "Attention Is All You Need", section 3.5.

    ``table[p, 2i] = sin(p / 10000^(2i/dim))`` and ``table[p, 2i+1] = cos(p / 10000^(2i/dim))``.

    The table is computed in float32 regardless of the default dtype, as in the released LPV code:
    a more exact table changes the logits of a trained model by up to 2e-5.

    Args:
        length: Number of positions.
        dim: Width of the features that the table is added to.
        device: Device to compute it on; only on the CPU is it the same on all machines.

    Returns:
        Table of shape (length, dim), float32.
    """
    position = torch.arange(length, dtype=torch.float32, device=device)[:, None]
    even = torch.arange(0, dim, 2, dtype=torch.float32, device=device)
    angle = position * torch.exp(even * (-math.log(10000.0) / dim))
    table = torch.zeros(length, dim, dtype=torch.float32, device=device)
    table[:, 0::2] = angle.sin()
    table[:, 1::2] = angle.cos()[:, : dim // 2]
    return table


class SinusoidalPosition(nn.Module):
    """Sinusoidal position encoding, with a table that grows to the longest sequence seen.

    The table depends on its shape alone, so it is neither in the state dict nor a buffer: code that
    averages or swaps the buffers of two models, such as MMEngine's ``EMAHook``, would fail on
    tables of different lengths.

    Args:
        dim: Width D of the sequence.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self._tables: dict[tuple[torch.device, torch.dtype], torch.Tensor] = {}

    def rows(self, length: int, like: torch.Tensor) -> torch.Tensor:
        """Return the first rows of the table.

        Args:
            length: Number L of rows.
            like: Tensor whose dtype and device are used.

        Returns:
            Rows of shape (L, D).
        """
        kind = like.device, like.dtype
        if torch.compiler.is_dynamo_compiling():
            # State kept between calls would cause recompilation.
            return sinusoidal_table(length, self.dim, like.device).to(like.dtype)
        table = self._tables.get(kind)
        # Not read from the dictionary again: another thread may store a shorter table.
        if table is None or len(table) < length:
            table = sinusoidal_table(length, self.dim).to(*kind)
            if type(table) is torch.Tensor:  # not a fake one, which has no values
                self._tables[kind] = table
        return table[:length]

    def __getstate__(self) -> dict:
        """Return the state without tables, which may be loaded onto another device."""
        return {**self.__dict__, "_tables": {}}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``x`` plus the first L rows of the table.

        Args:
            x: Sequence of shape (N, L, D).

        Returns:
            Sequence of shape (N, L, D), in the dtype of ``x``.
        """
        return x + self.rows(x.shape[1], x)
