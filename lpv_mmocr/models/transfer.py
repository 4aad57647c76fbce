"""Copies of batches to the device for which the host does not wait."""

from __future__ import annotations

import torch


def to_device(batch: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Move a batch to a device.

    From ordinary memory, a copy to a GPU makes the host wait until the GPU has finished what it was
    given before. From pinned memory it does not.

    Args:
        batch: Tensor on any device.
        device: Where to move it.

    Returns:
        The batch on the device, the tensor itself if it is there already.
    """
    if device.type == "cuda" and batch.device.type == "cpu" and not batch.is_pinned():
        batch = batch.pin_memory()
    return batch.to(device, non_blocking=True)
