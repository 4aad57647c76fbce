"""Linear layers over tokens, computed by the faster of PyTorch's two matrix libraries."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

# Below this batch size, on a single thread, PyTorch computes 1x1 convolutions with a library other
# than oneDNN, and nothing is gained.
MIN_BATCH = 16


def token_linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """Compute ``x W^T + b``.

    In float32 on a CPU, PyTorch computes linear layers with MKL, and 1x1 convolutions, which are
    the same function, with oneDNN. On processors not made by Intel, oneDNN takes half the time,
    forward and backward; on Intel's, the two differ little.

    Args:
        x: Tokens of shape (N, L, D_in).
        weight: Weight of shape (D_out, D_in).
        bias: Bias of shape (D_out,), or None.

    Returns:
        Tokens of shape (N, L, D_out).
    """
    if not _convolves(x):
        return F.linear(x, weight, bias)
    feature_map = x.transpose(1, 2).unsqueeze(2)
    return F.conv2d(feature_map, weight[:, :, None, None], bias).squeeze(2).transpose(1, 2)


def _convolves(x: torch.Tensor) -> bool:
    return (
        not torch.compiler.is_compiling()  # a compiler makes its own choice
        and x.dim() == 3
        and x.dtype is torch.float32
        and x.device.type == "cpu"
        and not torch.is_autocast_enabled("cpu")
        and (len(x) >= MIN_BATCH or torch.get_num_threads() > 1)
        and torch.backends.mkldnn.is_available()
        and torch.backends.mkldnn.enabled
    )


class TokenLinear(nn.Linear):
    """``nn.Linear`` over tokens of shape (N, L, D), computed by :func:`token_linear`."""

    @classmethod
    def of(cls, linear: nn.Linear) -> TokenLinear:
        """Return a layer that shares the parameters of another.

        Args:
            linear: Layer with a bias.
        """
        layer = nn.utils.skip_init(cls, linear.in_features, linear.out_features)
        layer.weight, layer.bias = linear.weight, linear.bias
        return layer

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Apply the layer."""
        return token_linear(input, self.weight, self.bias)
