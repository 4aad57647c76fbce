"""Fixtures for tests of training."""

from __future__ import annotations

import pytest
import torch
from training_cases import write_numbers


@pytest.fixture(scope="session")
def numbers(tmp_path_factory):
    """Folder with the LMDBs ``train`` (50 words) and ``val`` (8 words)."""
    folder = tmp_path_factory.mktemp("numbers")
    write_numbers(folder / "train", 100, 50)
    write_numbers(folder / "val", 500, 8)
    return folder


@pytest.fixture
def one_thread():
    """Use one thread: sums on the CPU are bitwise equal only with an equal number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
