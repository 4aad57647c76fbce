"""Plain PyTorch implementation of LPV from its equations: test oracle and speed baseline.

It shares no code with ``lpv_mmocr.models`` and needs only PyTorch. Attention is two matrix
products and a softmax, masked scores are -inf, and nothing is fused, folded or cached. Parameters
have the same names as in our model, so the same state dict fits both.

Shapes: N images, T character positions, L tokens of a feature map in row-major order, D channels,
S decoder stages, C classes.

The functions :func:`lpv_tiny`, :func:`lpv_small` and :func:`lpv_base` are adapters for
``tools/analysis_tools/benchmark.py --adapter tests/reference_lpv.py:lpv_tiny``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CHARACTERS = "0123456789abcdefghijklmnopqrstuvwxyz"
GO, STOP = len(CHARACTERS), len(CHARACTERS) + 1
NUM_CLASSES = len(CHARACTERS) + 2
MAX_LENGTH = 25
NUM_POSITIONS = MAX_LENGTH + 2
WINDOW = (7, 11)
THRESHOLD = 0.05


@dataclass(frozen=True)
class Size:
    """Hyper-parameters of a model size.

    ``row_strides`` are the vertical strides of the convolutions between the encoder stages;
    ``num_stages`` is the number of decoder stages.
    """

    img_size: tuple[int, int]
    widths: tuple[int, ...]
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    num_local: int
    row_strides: tuple[int, ...]
    glrm_layers: int
    glrm_hidden: int
    num_stages: int = 3


SIZES = {
    "tiny": Size((32, 100), (64, 128, 256), (3, 6, 3), (2, 4, 8), 6, (1, 1), 2, 1024),
    "small": Size((32, 100), (96, 192, 256), (3, 6, 6), (3, 6, 8), 8, (1, 1), 3, 1024),
    "base": Size((48, 160), (128, 256, 384), (3, 6, 9), (4, 8, 12), 8, (2, 1), 3, 1536),
}


def softmax_attention(
    qkv: Tensor, heads: int, mask: Tensor | None = None, dropout: nn.Module | None = None
) -> Tensor:
    """Compute multi-head attention of joint projections (N, L, 3D) with an additive mask."""
    n, length, width = qkv.shape
    head_width = width // 3 // heads
    query, key, value = qkv.reshape(n, length, 3, heads, head_width).permute(2, 0, 3, 1, 4)
    scores = (query * head_width**-0.5) @ key.transpose(-2, -1)
    if mask is not None:
        scores = scores + mask
    weights = scores.softmax(-1)
    if dropout is not None:
        weights = dropout(weights)
    return (weights @ value).transpose(1, 2).reshape(n, length, width // 3)


def sinusoid(length: int, width: int) -> Tensor:
    """Return the sinusoidal position table (length, width) in float32, as the method defines it.

    Sines are in the even columns, cosines in the odd ones.
    """
    pairs = torch.exp(torch.arange(0, width, 2).float() * (-math.log(10000.0) / width))
    angles = torch.arange(length).float()[:, None] * pairs
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)


def window_mask(grid: tuple[int, int]) -> Tensor:
    """Return the local mask (L, L): 0 in the window centred on each token, -inf elsewhere."""
    rows, columns = grid
    mask = torch.full((rows, columns, rows, columns), -math.inf)
    for row in range(rows):
        for column in range(columns):
            top, left = max(row - WINDOW[0] // 2, 0), max(column - WINDOW[1] // 2, 0)
            bottom, right = row + WINDOW[0] // 2 + 1, column + WINDOW[1] // 2 + 1
            mask[row, column, top:bottom, left:right] = 0
    return mask.reshape(rows * columns, rows * columns)


class DropPath(nn.Module):
    """Stochastic depth: in training, drops a residual branch for random samples of the batch."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.probability == 0:
            return x
        keep = 1 - self.probability
        return x * (torch.rand(x.shape[0], 1, 1, device=x.device) < keep).to(x.dtype) / keep


class Mixer(nn.Module):
    """Self-attention of the encoder: local if a grid (rows, columns) is given, else global."""

    def __init__(self, width: int, heads: int, local_grid: tuple[int, int] | None) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        mask = None if local_grid is None else window_mask(local_grid)
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(softmax_attention(self.qkv(x), self.heads, self.mask))


class Block(nn.Module):
    """Pre-norm transformer block of the encoder, (N, L, D) to (N, L, D)."""

    def __init__(
        self, width: int, heads: int, local_grid: tuple[int, int] | None, drop_path: float
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.mixer = Mixer(width, heads, local_grid)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.mixer(self.norm1(x)))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class Merge(nn.Module):
    """Transition between encoder stages, a feature map (N, D, H, W) to tokens (N, L, D')."""

    def __init__(self, width_in: int, width_out: int, row_stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width_in, width_out, 3, stride=(row_stride, 1), padding=1)
        self.norm = nn.LayerNorm(width_out)

    def forward(self, feature_map: Tensor) -> Tensor:
        return self.norm(self.conv(feature_map).flatten(2).transpose(1, 2))


class Encoder(nn.Module):
    """SVTR encoder, images (N, 3, H, W) to features (N, D, H', W')."""

    def __init__(self, size: Size, drop_path: float) -> None:
        super().__init__()
        widths = size.widths
        self.patch_embed = nn.Sequential(
            *(
                nn.Sequential(nn.Conv2d(a, b, 3, 2, 1), nn.BatchNorm2d(b), nn.GELU())
                for a, b in ((3, widths[0] // 2), (widths[0] // 2, widths[0]))
            )
        )
        grid = (size.img_size[0] // 4, size.img_size[1] // 4)
        self.pos_embed = nn.Parameter(torch.zeros(1, grid[0] * grid[1], widths[0]))
        self.stages, self.merges, self.grids = nn.ModuleList(), nn.ModuleList(), []
        number = 0
        for stage, (width, depth, heads) in enumerate(
            zip(widths, size.depths, size.heads, strict=True)
        ):
            if stage > 0:
                stride = size.row_strides[stage - 1]
                self.merges.append(Merge(widths[stage - 1], width, stride))
                grid = (grid[0] // stride, grid[1])
            self.grids.append(grid)
            blocks = nn.Sequential()
            for _ in range(depth):
                rate = drop_path * number / (sum(size.depths) - 1)
                blocks.append(Block(width, heads, grid if number < size.num_local else None, rate))
                number += 1
            self.stages.append(blocks)
        self.norm = nn.LayerNorm(widths[-1], eps=1e-6)

    def forward(self, images: Tensor) -> Tensor:
        x = self.patch_embed(images).flatten(2).transpose(1, 2) + self.pos_embed
        for stage, blocks in enumerate(self.stages):
            if stage > 0:
                x = self.merges[stage - 1](x.transpose(1, 2).unflatten(2, self.grids[stage - 1]))
            x = blocks(x)
        return self.norm(x).transpose(1, 2).unflatten(2, self.grids[-1])


class KeyUNet(nn.Module):
    """U-Net that computes attention keys from features, in the same shape."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = width // 8
        self.down = nn.ModuleList(
            self.layer(width if level == 0 else inner, inner, (1 if level == 0 else 2, 2))
            for level in range(4)
        )
        self.up = nn.ModuleList(
            self.layer(inner, width if level == 3 else inner, (1, 1)) for level in range(4)
        )

    @staticmethod
    def layer(width_in: int, width_out: int, stride: tuple[int, int]) -> nn.Module:
        conv = nn.Conv2d(width_in, width_out, 3, stride, padding=1)
        return nn.Sequential(conv, nn.BatchNorm2d(width_out), nn.ReLU())

    def forward(self, features: Tensor) -> Tensor:
        h, w = features.shape[-2:]
        first = self.down[0](features)
        second = self.down[1](first)
        third = self.down[2](second)
        x = self.down[3](third)
        quarter, half = (math.ceil(h / 4), math.ceil(w / 8)), (math.ceil(h / 2), math.ceil(w / 4))
        x = self.up[0](F.interpolate(x, quarter)) + third
        x = self.up[1](F.interpolate(x, half)) + second
        x = self.up[2](F.interpolate(x, (h, math.ceil(w / 2)))) + first
        return self.up[3](F.interpolate(x, (h, w)))


class PositionAttention(nn.Module):
    """Position attention of one stage.

    Maps features (N, D, H, W) and the previous stage's character features (N, T, D) to new
    character features and attention maps (N, T, L).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.key_unet = KeyUNet(width)
        self.query = nn.Linear(width, width)
        self.register_buffer("table", sinusoid(NUM_POSITIONS, width), persistent=False)

    def forward(self, features: Tensor, characters: Tensor) -> tuple[Tensor, Tensor]:
        queries = self.query(characters + self.table)
        keys = self.key_unet(features).flatten(2)
        maps = (queries @ keys / math.sqrt(self.width)).softmax(-1)
        return maps @ features.flatten(2).transpose(1, 2), maps


class SelfAttention(nn.Module):
    """Self-attention of the GLRM.

    A blind token is one with every key masked: it attends to nothing, so only the bias of the
    output projection is left.
    """

    heads = 8

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        nn.init.xavier_uniform_(self.in_proj_weight)
        self.out_proj = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None, blind: Tensor | None) -> Tensor:
        qkv = F.linear(x, self.in_proj_weight, self.in_proj_bias)
        mixed = softmax_attention(qkv, self.heads, mask, self.dropout)
        if blind is not None:
            mixed = mixed.masked_fill(blind, 0.0)
        return self.out_proj(mixed)


class GLRMLayer(nn.Module):
    """Post-norm transformer layer of the GLRM."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.self_attn = SelfAttention(width, dropout)
        self.linear1 = nn.Linear(width, hidden)
        self.linear2 = nn.Linear(hidden, width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.dropout, self.dropout1, self.dropout2 = (nn.Dropout(dropout) for _ in range(3))

    def forward(self, x: Tensor, mask: Tensor | None, blind: Tensor | None) -> Tensor:
        x = self.norm1(x + self.dropout1(self.self_attn(x, mask, blind)))
        hidden = self.dropout(F.gelu(self.linear1(x)))
        return self.norm2(x + self.dropout2(self.linear2(hidden)))


class GLRM(nn.Module):
    """Module between two decoder stages that lets the tokens of different characters interact.

    Refines features (N, D, H, W), masked by the attention maps of the previous stage if given.
    """

    def __init__(self, width: int, tokens: int, layers: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(GLRMLayer(width, hidden, dropout) for _ in range(layers))
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("table", sinusoid(tokens, width), persistent=False)

    def forward(self, features: Tensor, maps: Tensor | None) -> Tensor:
        mask = blind = None
        if maps is not None:
            mask, blind = self.mask(maps)
        x = self.dropout(features.flatten(2).transpose(1, 2) + self.table)
        for layer in self.layers:
            x = layer(x, mask, blind)
        return x.transpose(1, 2).unflatten(2, features.shape[-2:])

    @staticmethod
    def mask(maps: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mask (N, 1, L, L) for maps (N, T, L), and the blind tokens (N, L, 1).

        Two tokens are masked from each other if some character attends to both of them with
        weights above the threshold. A token is blind if every key is masked for it.
        """
        seen = (maps > THRESHOLD).to(maps.dtype)
        together = seen.transpose(1, 2) @ seen > 0
        blind = together.all(-1, keepdim=True)
        mask = torch.zeros_like(together, dtype=maps.dtype).masked_fill(together, -math.inf)
        # Softmax over only -inf is NaN, so blind rows are unmasked; their output is zeroed later.
        return mask.masked_fill(blind, 0.0)[:, None], blind


class Decoder(nn.Module):
    """Decoder of alternating position attention and GLRMs.

    Maps features (N, D, H, W) to logits (S, N, T, C) and attention maps (S, N, T, L).
    """

    def __init__(self, size: Size, with_mask: bool, dropout: float) -> None:
        super().__init__()
        width = size.widths[-1]
        rows = size.img_size[0] // 4 // math.prod(size.row_strides)
        tokens = rows * (size.img_size[1] // 4)
        self.with_mask = with_mask
        self.attentions = nn.ModuleList(PositionAttention(width) for _ in range(size.num_stages))
        self.glrms = nn.ModuleList(
            GLRM(width, tokens, size.glrm_layers, size.glrm_hidden, dropout)
            for _ in range(size.num_stages - 1)
        )
        self.classifiers = nn.ModuleList(
            nn.Linear(width, NUM_CLASSES) for _ in range(size.num_stages)
        )

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        n, width = features.shape[:2]
        characters = features.new_zeros(n, NUM_POSITIONS, width)
        logits, all_maps = [], []
        for stage, attention in enumerate(self.attentions):
            if stage > 0:
                features = self.glrms[stage - 1](features, all_maps[-1] if self.with_mask else None)
            characters, maps = attention(features, characters)
            logits.append(self.classifiers[stage](characters))
            all_maps.append(maps)
        return torch.stack(logits), torch.stack(all_maps)


class ReferenceLPV(nn.Module):
    """Complete LPV model.

    Args:
        size: Name of a published size, or a custom :class:`Size`.
        with_mask: Whether the GLRMs mask tokens of the same character from each other.
        drop: Probability of every dropout, and of drop-path in the last block.
    """

    def __init__(self, size: str | Size, with_mask: bool = True, drop: float = 0.1) -> None:
        super().__init__()
        size = SIZES[size] if isinstance(size, str) else size
        self.img_size = size.img_size
        self.encoder = Encoder(size, drop)
        self.decoder = Decoder(size, with_mask, drop)

    def forward_all(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map images (N, 3, H, W) in 0..1 to logits (S, N, T, C) and maps (S, N, T, L)."""
        return self.decoder(self.encoder(images))

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, 3, H, W) in 0..1 to the logits (N, T, C) of the last stage."""
        return self.forward_all(images)[0][-1]

    def loss(self, images: Tensor, texts: list[str]) -> Tensor:
        """Return the mean cross-entropy over all stages; targets that are [GO] are ignored."""
        logits = self.forward_all(images)[0]
        targets = torch.full((len(texts), NUM_POSITIONS), GO)
        for row, text in zip(targets, texts, strict=True):
            indexes = [CHARACTERS.index(character) for character in text]
            row[1 : len(indexes) + 2] = torch.tensor([*indexes, STOP])
        targets = targets.to(logits.device).repeat(len(logits), 1)
        return F.cross_entropy(logits.flatten(0, 2), targets.flatten(), ignore_index=GO)


def lpv_tiny() -> tuple[nn.Module, tuple[int, int]]:
    """Return LPV-Tiny with mask, and its image size (height, width), for the benchmark."""
    model = ReferenceLPV("tiny")
    return model, model.img_size


def lpv_small() -> tuple[nn.Module, tuple[int, int]]:
    """Return LPV-Small with mask, and its image size (height, width), for the benchmark."""
    model = ReferenceLPV("small")
    return model, model.img_size


def lpv_base() -> tuple[nn.Module, tuple[int, int]]:
    """Return LPV-Base with mask, and its image size (height, width), for the benchmark."""
    model = ReferenceLPV("base")
    return model, model.img_size
