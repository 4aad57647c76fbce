"""Tests of the copies to the device."""

from __future__ import annotations

from lpv_mmocr.models.transfer import to_device

import torch


def test_tensor_on_the_device_is_not_copied():
    batch = torch.arange(3)
    assert to_device(batch, torch.device("cpu")) is batch


def test_tensor_is_moved():
    """``meta`` stands in for the device."""
    moved = to_device(torch.arange(3), torch.device("meta"))
    assert (moved.device.type, moved.shape, moved.dtype) == ("meta", (3,), torch.int64)
