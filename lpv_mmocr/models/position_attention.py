"""Position attention: extracts one character vector per position from a feature map."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmocr.registry import MODELS
from torch import nn

from .sinusoid import SinusoidalPosition


class ConvNormReLU(nn.Sequential):
    """3x3 convolution, batch norm, ReLU.

    Args:
        in_channels: Number of input channels.
        out_channels: Number of output channels.
        stride: Vertical and horizontal stride.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: tuple[int, int] = (1, 1)):
        super().__init__(
            nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )


class KeyUNet(nn.Module):
    """Small U-Net that computes the keys of a position attention from the features.

    Args:
        dim: Width D of features and keys.
        hidden: Width of the inner layers.
    """

    strides = ((1, 2), (2, 2), (2, 2), (2, 2))

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        widths_in = [dim] + [hidden] * (len(self.strides) - 1)
        self.down = nn.ModuleList(
            ConvNormReLU(width, hidden, stride)
            for width, stride in zip(widths_in, self.strides, strict=True)
        )
        self.up = nn.ModuleList(ConvNormReLU(hidden, width) for width in reversed(widths_in))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Compute keys.

        Args:
            features: Feature map of shape (N, D, h, w).

        Returns:
            Keys of shape (N, D, h, w).
        """
        skips = []
        x = features
        for down in self.down:
            skips.append(x)
            x = down(x)
        for level, up in zip(reversed(range(len(skips))), self.up, strict=True):
            x = up(F.interpolate(x, size=skips[level].shape[-2:], mode="nearest"))
            if level > 0:  # the input features are not added to the keys
                x = x + skips[level]
        return x


@MODELS.register_module()
class PositionAttention(BaseModule):
    """Position attention of one stage of the cascade (paper section 3.3).

    ``A = softmax(q k^T / sqrt(D))`` over the h*w locations, with queries from the character vectors
    of the previous stage and keys from a U-Net over the features. The values are the features
    themselves.

    Args:
        dim: Width D of the features.
        num_positions: Number T of positions.
        key_dim: Width of the inner layers of the key U-Net; D/8 by default.

    Raises:
        ValueError: If ``dim`` is below 8 and ``key_dim`` is not given, or ``key_dim`` is below 1.
            In training, from batch norm, if a batch of one word has a feature map of at most 8x16
            locations, of which the lowest level of the U-Net keeps a single one.
    """

    def __init__(
        self,
        *,
        dim: int,
        num_positions: int,
        key_dim: int | None = None,
    ) -> None:
        super().__init__()
        key_dim = dim // 8 if key_dim is None else key_dim
        if key_dim < 1:
            raise ValueError(
                f"key_dim must be at least 1, got {key_dim} (the default is dim // 8, dim={dim}): "
                "set key_dim"
            )
        self.scale = 1 / math.sqrt(dim)
        self.key_unet = KeyUNet(dim, key_dim)
        self.num_positions = num_positions
        self.position = SinusoidalPosition(dim)
        self.query = nn.Linear(dim, dim)

    def forward(
        self, features: torch.Tensor, characters: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Extract one vector per position.

        Args:
            features: Feature map of shape (N, D, h, w).
            characters: Character vectors of the previous stage, shape (N, T, D); zeros of shape
                (1, T, D) or (N, T, D) at the first stage.

        Returns:
            Character vectors of shape (N, T, D), and the attention maps of shape (N, T, h, w),
            float32 at least, each summing to 1 over (h, w).
        """
        grid = features.shape[-2:]
        keys = self.key_unet(features).flatten(2)
        values = features.flatten(2).transpose(1, 2)
        queries = self.query(self.position(characters)).expand(features.shape[0], -1, -1)
        scores = torch.matmul(queries * self.scale, keys)
        # At least float32: the GLRM's mask compares these weights with a threshold.
        maps = scores.softmax(-1, dtype=torch.promote_types(scores.dtype, torch.float32))
        return torch.matmul(maps.to(values.dtype), values), maps.unflatten(2, grid)
