"""Global linguistic reconstruction module (GLRM) and its mask."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import NamedTuple

import torch
from mmengine.model import BaseModule
from mmocr.registry import MODELS
from torch import nn

from .attention import mask_bias, self_attention
from .dropout import Dropout
from .sinusoid import SinusoidalPosition
from .token_linear import TokenLinear, token_linear


def linguistic_mask(attn_maps: torch.Tensor, threshold: float = 0.05) -> torch.Tensor:
    """Return the mask that hides the tokens of a character from one another (paper section 3.4).

    Token i may not attend to token j when some position t has both ``A[t, i] > threshold`` and
    ``A[t, j] > threshold``. A token that no position attends to sees, and is seen by, every token.

    Args:
        attn_maps: Attention maps A of the previous stage, shape (N, T, h, w).
        threshold: Attention weight above which a token belongs to a character.

    Returns:
        Boolean tensor of shape (N, h*w, h*w), true where attention is forbidden; without
        gradient.
    """
    # Counts of common positions: at most T, and exact in every float type up to T = 256.
    belongs = (attn_maps.flatten(2) > threshold).to(attn_maps.dtype)
    return torch.matmul(belongs.transpose(1, 2), belongs) > 0


class TokenMask(NamedTuple):
    """Attention mask, prepared once for all layers and heads.

    Attributes:
        bias: Bias added to the scores, shape (N, 1, L, L). It hides nothing from blind tokens,
            which keeps their softmax finite.
        blind: Boolean tensor (N, L, 1), true for blind tokens: those with every key masked.
    """

    bias: torch.Tensor
    blind: torch.Tensor

    @classmethod
    def from_forbidden(
        cls, forbidden: torch.Tensor, dtype: torch.dtype = torch.float32
    ) -> TokenMask:
        """Build the mask from a boolean tensor (N, L, L), true where attention is forbidden."""
        blind = forbidden.all(-1, keepdim=True)
        return cls(mask_bias(~forbidden | blind, dtype)[:, None], blind)


def masked_attention(
    qkv: torch.Tensor,
    num_heads: int,
    mask: TokenMask | None,
    dropout: float = 0.0,
) -> torch.Tensor:
    """Compute multi-head self-attention in which a token may have every key masked.

    For such a token, PyTorch's attention returns NaN or an arbitrary mean, depending on version
    and kernel. Here its output is zero, and so is its gradient, in any precision. As in
    :func:`~lpv_mmocr.models.attention.self_attention`, the projections are not included.

    Args:
        qkv: Queries, keys and values of all heads, shape (N, L, 3 * D).
        num_heads: Number of heads.
        mask: Attention mask; None lets every token see every token.
        dropout: Probability that an attention weight is dropped.

    Returns:
        Mixed values of shape (N, L, D).
    """
    if mask is None:
        return self_attention(qkv, num_heads, dropout=dropout)
    mixed = self_attention(qkv, num_heads, mask.bias, dropout)
    return mixed.masked_fill(mask.blind, 0.0)  # this stops the gradient as well


class MaskedEncoderLayer(nn.TransformerEncoderLayer):
    """Post-norm transformer layer in which a token may have every key masked.

    Parameters, their initialisation and the positions of the dropouts are those of
    ``nn.TransformerEncoderLayer``; the attention is :func:`masked_attention`, and the dropouts are
    :class:`~lpv_mmocr.models.dropout.Dropout`.

    Args:
        dim: Width D of the tokens.
        num_heads: Number of attention heads.
        ffn_dim: Hidden width of the feed-forward layers, which have a GELU in between.
        dropout: Dropout probability on attention weights, in the feed-forward layers and on both
            residuals.
    """

    def __init__(self, dim: int, num_heads: int, ffn_dim: int, dropout: float) -> None:
        super().__init__(
            dim, num_heads, ffn_dim, dropout=dropout, activation="gelu", batch_first=True
        )
        self.linear1, self.linear2 = map(TokenLinear.of, (self.linear1, self.linear2))
        self.self_attn.out_proj = TokenLinear.of(self.self_attn.out_proj)
        self.dropout, self.dropout1, self.dropout2 = (
            Dropout(layer.p) for layer in (self.dropout, self.dropout1, self.dropout2)
        )

    def forward(self, src: torch.Tensor, mask: TokenMask | None = None) -> torch.Tensor:
        """Apply the layer.

        Args:
            src: Tokens of shape (N, L, D).
            mask: Attention mask; None lets every token see every token.

        Returns:
            Tokens of shape (N, L, D).
        """
        x = self.norm1(src + self.dropout1(self._attend(src, mask)))
        out = self.linear2(self.dropout(self.activation(self.linear1(x))))
        return self.norm2(x + self.dropout2(out))

    def attention_weights(self, src: torch.Tensor, mask: TokenMask | None = None) -> torch.Tensor:
        """Return the attention matrix of the layer, averaged over heads, without dropout.

        Inference does not need it: the fused attention never builds it.

        Args:
            src: Tokens of shape (N, L, D).
            mask: Attention mask; None lets every token see every token.

        Returns:
            Tensor of shape (N, L, L); row i holds the weights that token i gives to each token.
            Rows sum to 1, those of blind tokens to 0.
        """
        attention = self.self_attn
        width = attention.embed_dim
        projected = token_linear(
            src, attention.in_proj_weight[: 2 * width], attention.in_proj_bias[: 2 * width]
        )
        query, key = (
            part.unflatten(-1, (attention.num_heads, -1)).transpose(1, 2)
            for part in projected.chunk(2, dim=-1)
        )
        scores = torch.matmul(query * query.shape[-1] ** -0.5, key.transpose(-1, -2)).float()
        if mask is None:
            return scores.softmax(-1).mean(1)
        return (scores + mask.bias).softmax(-1).mean(1).masked_fill(mask.blind, 0.0)

    def _attend(self, x: torch.Tensor, mask: TokenMask | None) -> torch.Tensor:
        attention = self.self_attn
        qkv = token_linear(x, attention.in_proj_weight, attention.in_proj_bias)
        dropout = attention.dropout if self.training else 0.0
        mixed = masked_attention(qkv, attention.num_heads, mask, dropout)
        return attention.out_proj(mixed)


@MODELS.register_module()
class GLRM(BaseModule):
    """Global linguistic reconstruction module (paper section 3.4).

    A stack of post-norm transformer layers over the tokens of the feature map. With the mask, the
    tokens of a character see only those of the other characters and have to be reconstructed from
    them: this is how a vision model learns linguistics.

    Args:
        dim: Width D of the features.
        num_layers: Number L of transformer layers. They start from equal weights, as in the
            released code.
        num_heads: Number of attention heads.
        ffn_dim: Hidden width of the feed-forward layers.
        dropout: Dropout probability after adding the position table, on attention weights, in the
            feed-forward layers and on both residuals.

    Raises:
        ValueError: If ``num_heads`` does not divide ``dim``, or ``num_layers`` is negative.
    """

    def __init__(
        self,
        *,
        dim: int,
        num_layers: int = 3,
        num_heads: int = 8,
        ffn_dim: int = 1024,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if num_layers < 0:
            raise ValueError(f"num_layers must not be negative, got {num_layers}")
        if dim % num_heads:
            raise ValueError(f"num_heads={num_heads} does not divide the feature width {dim}")
        layer = MaskedEncoderLayer(dim, num_heads, ffn_dim, dropout)
        self.layers = nn.ModuleList(deepcopy(layer) for _ in range(num_layers))
        self.position = SinusoidalPosition(dim)
        self.dropout = Dropout(dropout)

    def forward(
        self, features: torch.Tensor, forbidden: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Reconstruct the features from one another.

        Args:
            features: Feature map of shape (N, D, h, w).
            forbidden: Mask of shape (N, h*w, h*w) from :func:`linguistic_mask`, or None.

        Returns:
            Feature map of shape (N, D, h, w).
        """
        x, mask = self._tokens(features, forbidden)
        for layer in self.layers:
            x = layer(x, mask)
        return x.transpose(1, 2).unflatten(2, features.shape[-2:])

    def attention_weights(
        self, features: torch.Tensor, forbidden: torch.Tensor | None = None
    ) -> Iterator[torch.Tensor]:
        """Yield the attention matrices; see :meth:`MaskedEncoderLayer.attention_weights`.

        The layers are run again for this, so that :meth:`forward` does not have to support it.

        Args:
            features: Feature map of shape (N, D, h, w).
            forbidden: Mask of shape (N, h*w, h*w) from :func:`linguistic_mask`, or None.

        Yields:
            Attention matrix of each layer, averaged over heads, shape (N, h*w, h*w).
        """
        x, mask = self._tokens(features, forbidden)
        for layer in self.layers:
            yield layer.attention_weights(x, mask)
            x = layer(x, mask)

    def _tokens(
        self, features: torch.Tensor, forbidden: torch.Tensor | None
    ) -> tuple[torch.Tensor, TokenMask | None]:
        """Return tokens (N, h*w, D) with positions added, and the mask for all layers."""
        x = features.flatten(2).transpose(1, 2)
        x = self.dropout(self.position(x))
        return x, None if forbidden is None else TokenMask.from_forbidden(forbidden, x.dtype)
