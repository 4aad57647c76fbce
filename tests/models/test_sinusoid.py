"""Tests of the sinusoidal position table."""

from __future__ import annotations

from lpv_mmocr.models.sinusoid import SinusoidalPosition, sinusoidal_table

import numpy as np
import pytest
import torch


@pytest.mark.parametrize("dim", [8, 7])
def test_table_follows_its_definition(dim):
    table = sinusoidal_table(50, dim)
    assert table.dtype == torch.float32
    for place in (0, 1, 49):
        for column in range(dim):
            angle = place / 10000 ** (2 * (column // 2) / dim)
            expected = np.sin(angle) if column % 2 == 0 else np.cos(angle)
            assert table[place, column].item() == pytest.approx(expected, abs=1e-5)


def test_position_table_grows_and_is_not_stored():
    position = SinusoidalPosition(6)
    for length in (2, 9, 4):
        out = position(torch.zeros(1, length, 6, dtype=torch.float64))
        torch.testing.assert_close(out[0], sinusoidal_table(length, 6).double())
    assert not position.state_dict() and not list(position.buffers())
