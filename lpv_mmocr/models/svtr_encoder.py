"""SVTR encoder that keeps the full two-dimensional feature map, as LPV requires."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import torch
from mmengine.model import BaseModule
from mmocr.registry import MODELS
from mmocr.structures import TextRecogDataSample
from torch import nn
from torch.utils.checkpoint import checkpoint

from .svtr_block import LAYER_NORM_EPS, MixingBlock, local_window


def _strided(size: tuple[int, int], stride: tuple[int, int]) -> tuple[int, int]:
    """Return the size of a map after a 3x3 convolution with padding 1 and the given stride."""
    return -(-size[0] // stride[0]), -(-size[1] // stride[1])


class PatchEmbedding(nn.Sequential):
    """Two strided convolutions that turn an image into a grid of H/4 x W/4 patch features.

    Args:
        in_channels: Channels of the image.
        dim: Width D0 of the patch features.
    """

    def __init__(self, in_channels: int, dim: int) -> None:
        super().__init__(
            *(
                nn.Sequential(
                    nn.Conv2d(width_in, width_out, 3, stride=2, padding=1),
                    nn.BatchNorm2d(width_out),
                    nn.GELU(),
                )
                for width_in, width_out in ((in_channels, dim // 2), (dim // 2, dim))
            )
        )


class Merging(nn.Module):
    """Strided convolution and layer norm on tokens, between two stages.

    Args:
        in_dim: Width of the input tokens.
        out_dim: Width of the output tokens.
        stride: Vertical and horizontal stride.
    """

    def __init__(self, in_dim: int, out_dim: int, stride: tuple[int, int]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_dim, out_dim, 3, stride=stride, padding=1)
        self.norm = nn.LayerNorm(out_dim)

    def forward(self, x: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
        """Merge tokens (N, h*w, D) on ``grid`` = (h, w) into tokens (N, h'*w', D')."""
        feature_map = x.transpose(1, 2).unflatten(2, grid)
        return self.norm(self.conv(feature_map).flatten(2).transpose(1, 2))


@MODELS.register_module()
class LPVSVTREncoder(BaseModule):
    """SVTR encoder of LPV (paper section 3.2; SVTR, arXiv 2205.00159).

    Unlike MMOCR's ``SVTREncoder``, it neither pools the height away nor ends in a CTC neck: the
    decoder's position attention needs the full map. The first ``num_local_blocks`` blocks
    mix locally, the rest globally.

    Args:
        img_size: Height and width of the input image in pixels.
        in_channels: Channels of the input image.
        embed_dims: Feature width of each stage.
        depths: Number of blocks of each stage.
        num_heads: Number of attention heads of each stage.
        num_local_blocks: Number of leading blocks, counted over all stages, that mix locally.
        window_size: Height and width of the local mixing window in tokens, both odd.
        merge_strides: (vertical, horizontal) stride of the merging after each stage but the last.
        mlp_ratio: Hidden width of a block's MLP as a multiple of its feature width.
        drop_path_rate: Drop-path probability of the last block; it grows linearly from 0.
        with_cp: Whether blocks recompute their activations in the backward pass instead of storing
            them (gradient checkpointing): less memory at the cost of a second forward pass.
        init_cfg: MMEngine initialisation config. By default Linear weights are truncated normal
            with standard deviation 0.02 and convolutions Kaiming normal (fan out), as in the
            released code.

    Raises:
        ValueError: If the per-stage arguments differ in length or a value is out of range.
    """

    pos_embed_std = 0.02

    def __init__(
        self,
        *,
        img_size: Sequence[int] = (32, 100),
        in_channels: int = 3,
        embed_dims: Sequence[int] = (64, 128, 256),
        depths: Sequence[int] = (3, 6, 3),
        num_heads: Sequence[int] = (2, 4, 8),
        num_local_blocks: int = 6,
        window_size: Sequence[int] = (7, 11),
        merge_strides: Sequence[Sequence[int]] = ((1, 1), (1, 1)),
        mlp_ratio: float = 4.0,
        drop_path_rate: float = 0.1,
        with_cp: bool = False,
        init_cfg: dict | list[dict] | None = (
            dict(type="TruncNormal", layer="Linear", std=0.02, a=-2.0, b=2.0, bias=0.0),
            dict(type="Kaiming", layer="Conv2d", mode="fan_out", nonlinearity="relu"),
        ),
    ) -> None:
        super().__init__(init_cfg=list(init_cfg) if isinstance(init_cfg, tuple) else init_cfg)
        if not len(embed_dims) == len(depths) == len(num_heads) == len(merge_strides) + 1:
            raise ValueError(
                "embed_dims, depths and num_heads need one entry per stage and merge_strides one "
                f"fewer, got {len(embed_dims)}, {len(depths)}, {len(num_heads)} and "
                f"{len(merge_strides)}"
            )
        pairs = [("img_size", img_size), ("window_size", window_size)]
        for name, pair in (*pairs, *(("merge_strides", stride) for stride in merge_strides)):
            if len(pair) != 2 or min(pair) < 1:
                raise ValueError(f"{name} needs two positive numbers, got {tuple(pair)}")
        if not 0 <= drop_path_rate < 1:
            raise ValueError(f"drop_path_rate must be at least 0 and below 1, got {drop_path_rate}")
        if min(depths) < 0:
            raise ValueError(f"depths must not be negative, got {tuple(depths)}")
        num_blocks = sum(depths)
        if not 0 <= num_local_blocks <= num_blocks:
            raise ValueError(
                f"num_local_blocks must lie between 0 and the {num_blocks} blocks of all stages, "
                f"got {num_local_blocks}"
            )
        self.img_size = (img_size[0], img_size[1])
        self.out_channels = embed_dims[-1]
        self.with_cp = with_cp
        strides = [(stride[0], stride[1]) for stride in merge_strides]
        self.grids = list(accumulate(strides, _strided, initial=_strided(self.img_size, (4, 4))))

        self.patch_embed = PatchEmbedding(in_channels, embed_dims[0])
        first_grid = self.grids[0]
        self.pos_embed = nn.Parameter(torch.zeros(1, first_grid[0] * first_grid[1], embed_dims[0]))
        # On the CPU whatever the default device: the meta device has no values.
        drop_rates = torch.linspace(0, drop_path_rate, num_blocks, device="cpu").tolist()
        self.stages = nn.ModuleList()
        block = 0
        for dim, depth, heads, grid in zip(embed_dims, depths, num_heads, self.grids, strict=True):
            stage = nn.Sequential()
            for _ in range(depth):
                is_local = block < num_local_blocks
                visible = local_window(grid, tuple(window_size)) if is_local else None
                stage.append(MixingBlock(dim, heads, mlp_ratio, drop_rates[block], visible))
                block += 1
            self.stages.append(stage)
        self.merges = nn.ModuleList(
            Merging(in_dim, out_dim, stride)
            for in_dim, out_dim, stride in zip(
                embed_dims[:-1], embed_dims[1:], strides, strict=True
            )
        )
        self.norm = nn.LayerNorm(embed_dims[-1], eps=LAYER_NORM_EPS)

    def init_weights(self) -> None:
        """Initialise as in the released code; the position embedding is truncated normal too."""
        if not self._is_init:
            nn.init.trunc_normal_(self.pos_embed, std=self.pos_embed_std)
        super().init_weights()

    def forward(
        self, img: torch.Tensor, data_samples: Sequence[TextRecogDataSample] | None = None
    ) -> torch.Tensor:
        """Encode a batch of word images.

        Args:
            img: Images of shape (N, C, H, W) with (H, W) = ``img_size``.
            data_samples: Not used; MMOCR passes them to every encoder.

        Returns:
            Feature map of shape (N, D, h, w).

        Raises:
            ValueError: If the images do not have the size that the encoder was built for.
        """
        if tuple(img.shape[-2:]) != self.img_size:
            raise ValueError(
                f"LPVSVTREncoder was built for images of {self.img_size[0]}x{self.img_size[1]} "
                f"(height x width), got {img.shape[-2]}x{img.shape[-1]}: change img_size in the "
                "config or the Resize in the pipeline"
            )
        x = self.patch_embed(img).flatten(2).transpose(1, 2) + self.pos_embed
        x = self._mix(self.stages[0], x)
        for merge, stage, grid in zip(self.merges, self.stages[1:], self.grids[:-1], strict=True):
            x = self._mix(stage, merge(x, grid))
        return self.norm(x).transpose(1, 2).unflatten(2, self.grids[-1])

    def _mix(self, stage: nn.Sequential, x: torch.Tensor) -> torch.Tensor:
        """Apply the blocks of a stage."""
        if not (self.with_cp and torch.is_grad_enabled()):
            return stage(x)
        for block in stage:
            x = checkpoint(block, x, use_reentrant=False)
        return x
