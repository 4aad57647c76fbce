"""Layers with weights packed for oneDNN, PyTorch's second matrix library on CPUs.

In float32, ``nn.Linear`` uses MKL, which on processors not made by Intel reaches only half of
their speed; in bfloat16, it uses unpacked weights. The operators here are those that
``torch.compile`` emits for CPUs. Where PyTorch lacks them, :func:`can_pack` returns False and
nothing is packed.
"""

from __future__ import annotations

import torch
from torch import nn

from ..bfloat16 import cpu_emulates_bfloat16

ACTIVATIONS = {nn.GELU: ("gelu", "none"), nn.ReLU: ("relu", "")}
"""Activations that oneDNN fuses: operator and algorithm ("none" is the exact GELU)."""

PACKED_DTYPES = (torch.float32, torch.bfloat16)

MAX_SIZES = 4
"""Number of sizes of maps for which the weights of a convolution are kept packed, each a copy. More
sizes replace the oldest; packing takes up to 0.3 ms for the convolutions of an LPV."""


def can_pack(dtype: torch.dtype) -> bool:
    """Return whether packed operators for a float type work in this PyTorch on this processor."""
    if dtype not in PACKED_DTYPES or not torch.backends.mkldnn.is_available():
        return False
    try:
        if dtype is torch.bfloat16 and cpu_emulates_bfloat16():
            return False
        # Without initialisation: this check must not change the random state.
        linear = nn.utils.skip_init(nn.Linear, 8, 8, dtype=dtype)
        PackedLinear(linear)(torch.zeros(1, 8, dtype=dtype))
    except (AttributeError, RuntimeError):  # The operators are undocumented.
        return False
    return True


def _operator(activation: nn.Module | None) -> tuple[str, str]:
    if activation is None:
        return "none", ""
    if isinstance(activation, nn.GELU) and activation.approximate != "none":
        return "gelu", activation.approximate
    return ACTIVATIONS[type(activation)]


class PackedLinear(nn.Module):
    """Linear layer with packed weights and an optional fused activation, for inference only.

    Args:
        linear: Layer to pack; float32 or bfloat16, on the CPU.
        activation: Exact or approximate ``nn.GELU``, ``nn.ReLU``, or None.
    """

    def __init__(self, linear: nn.Linear, activation: nn.Module | None = None) -> None:
        super().__init__()
        self.operator, self.algorithm = _operator(activation)
        # Not parameters: packed weights cannot be saved, copied or trained.
        self.weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), None)
        self.bias = None if linear.bias is None else linear.bias.detach()
        self.size = f"{linear.in_features}, {linear.out_features}"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the layer to features of shape (..., D_in)."""
        return torch.ops.mkldnn._linear_pointwise(
            x, self.weight, self.bias, self.operator, [], self.algorithm
        )

    def extra_repr(self) -> str:
        """Return sizes and activation."""
        return f"{self.size}, activation={self.operator}"


class PackedConv2d(nn.Module):
    """Convolution with packed weights and an optional fused activation, for inference only.

    The order of packed weights that suits oneDNN depends on the height and width of the maps (not
    on their number). In another order, it sorts them anew in each call, which takes up to seventy
    times as long as the convolution. They are therefore packed at the first call for each size.

    Args:
        conv: Layer to pack; float32 or bfloat16, on the CPU, zero-padded.
        activation: Exact or approximate ``nn.GELU``, ``nn.ReLU``, or None.
    """

    def __init__(self, conv: nn.Conv2d, activation: nn.Module | None = None) -> None:
        super().__init__()
        self.operator, self.algorithm = _operator(activation)
        self.geometry = [conv.padding, conv.stride, conv.dilation, conv.groups]
        self.weight = conv.weight.detach().contiguous(memory_format=torch.channels_last)
        self.packed: dict[tuple[int, int], torch.Tensor] = {}
        self.bias = None if conv.bias is None else conv.bias.detach()
        self.size = f"{conv.in_channels}, {conv.out_channels}, {conv.kernel_size}"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the layer to maps of shape (N, C_in, H, W)."""
        return torch.ops.mkldnn._convolution_pointwise(
            x.contiguous(memory_format=torch.channels_last),
            self._weight_for(x),
            self.bias,
            *self.geometry,
            self.operator,
            [],
            self.algorithm,
        )

    def extra_repr(self) -> str:
        """Return sizes and activation."""
        return f"{self.size}, activation={self.operator}"

    def _weight_for(self, x: torch.Tensor) -> torch.Tensor:
        if torch.compiler.is_compiling():  # packing is not traceable
            return self.weight
        size = tuple(x.shape[-2:])
        packed = self.packed.get(size)
        if packed is None:
            packed = torch.ops.mkldnn._reorder_convolution_weight(
                self.weight, *self.geometry, [1, *x.shape[1:]]
            )
            for oldest in list(self.packed)[: 1 - MAX_SIZES]:
                self.packed.pop(oldest, None)  # perhaps gone in another thread
            self.packed[size] = packed
        return packed
