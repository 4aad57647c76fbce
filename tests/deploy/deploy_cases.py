"""Models and images on which two correct implementations must agree."""

from __future__ import annotations

import torch
from torch import nn


def settle(model: nn.Module, seed: int = 0) -> nn.Module:
    """Randomise norms and statistics so that errors in folding show, and return the model."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.3, generator=generator)
                module.running_var.uniform_(0.5, 2.0, generator=generator)
            if isinstance(module, nn.BatchNorm2d | nn.LayerNorm):
                module.weight.uniform_(0.5, 1.5, generator=generator)
                module.bias.normal_(0, 0.2, generator=generator)
        for attention in model.decoder.attentions:
            attention.query.weight.mul_(40)  # peaked maps, so that the mask has an effect
    return model.eval()


@torch.no_grad()
def images(model: nn.Module, number: int = 3) -> torch.Tensor:
    """Return images whose masks have an effect and do not depend on rounding errors."""
    generator = torch.Generator().manual_seed(1)
    threshold = model.decoder.mask_threshold
    found: list[torch.Tensor] = []
    for _ in range(200):
        image = torch.rand(1, 3, *model.encoder.img_size, generator=generator)
        maps = model.decoder.forward_train(out_enc=model.encoder(image))["attn_maps"][:-1]
        clear = maps.numel() == 0 or (
            (maps - threshold).abs().min() > 2e-6 and (maps > threshold).any()
        )
        if clear or not model.decoder.with_mask:
            found.append(image)
        if len(found) == number:
            return torch.cat(found)
    raise AssertionError("no image is clear of the threshold")


@torch.no_grad()
def plain_logits(model: nn.Module, batch: torch.Tensor) -> torch.Tensor:
    return model.decoder.forward_train(out_enc=model.encoder(batch))["logits"][-1]
