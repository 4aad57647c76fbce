"""Number of multiply-accumulates of a model."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

Forward = Callable[[nn.Module, torch.Tensor], object]


def count_macs(
    model: nn.Module,
    size: tuple[int, int],
    *,
    channels: int = 3,
    forward: Forward | None = None,
) -> int:
    """Count multiply-accumulates of matrix products, convolutions and attention for one image.

    Nothing is computed: a copy of the model runs on PyTorch's meta device, so the count takes no
    memory and is the same on every machine.

    Args:
        model: The model; it is not changed.
        size: Height and width in pixels.
        channels: Channels of the image.
        forward: Callback that runs the model on an image; by default it runs an MMOCR model in
            mode "tensor".

    Raises:
        NotImplementedError: If the model reads values, which a meta tensor does not have.
    """
    image = torch.empty(1, channels, *size, device="meta")
    forward = forward or (lambda module, image: module(image, mode="tensor"))
    copy = deepcopy(model).to("meta").eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        forward(copy, image)
    return counter.get_total_flops() // 2
