"""Tests of the sinusoidal position table."""

from __future__ import annotations

import copy
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor

from lpv_mmocr.models.sinusoid import SinusoidalPosition, sinusoidal_table

import numpy as np
import pytest
import torch
from torch._subclasses import FakeTensorMode


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


def test_fake_tensors_leave_no_fake_table():
    position = SinusoidalPosition(6)
    with FakeTensorMode():
        assert position(torch.zeros(1, 4, 6)).shape == (1, 4, 6)
    assert type(position(torch.zeros(1, 4, 6))) is torch.Tensor


def test_copies_begin_without_tables():
    """A table would keep the key of its old device when a file is loaded onto another."""
    position = SinusoidalPosition(6)
    position(torch.zeros(1, 4, 6))
    assert position._tables
    for other in (copy.deepcopy(position), pickle.loads(pickle.dumps(position))):
        assert not other._tables
        torch.testing.assert_close(other.rows(4, torch.zeros(1)), sinusoidal_table(4, 6))


def test_threads_may_read_sequences_of_different_lengths():
    position = SinusoidalPosition(4)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def read(length: int) -> None:
        for _ in range(300):
            position._tables.clear()
            assert position.rows(length, torch.zeros(1)).shape == (length, 4)

    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(read, (20, 30, 40, 50)))
    finally:
        sys.setswitchinterval(interval)
