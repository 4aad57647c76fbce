"""Check that an ONNX file computes what the model computes."""

from __future__ import annotations

import copy
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from mmcv import imresize

from lpv_onnx.engines import start

from ..drawn_words import draw_word, random_words
from ..models.lpv import LPV
from .onnx_metadata import Preprocessing

THRESHOLD_MARGIN = 1e-5
"""An attention weight this close to the mask's threshold may fall on either side of it."""

LOGITS_TOLERANCE = 1e-4
"""Largest allowed difference of a logit in fp32."""

ROUNDING_TOLERANCE = 4.0
"""In fp32, a deviation of up to this multiple of the model's own rounding error (float32 compared
with double precision) also passes: weights that amplify rounding do so in every correct reader."""

RELATIVE_TOLERANCES = {"fp16": 0.02, "int8": 0.2}
"""Largest allowed deviation of the logits, relative to their standard deviation. A wrong
graph deviates by 1 or more."""

_IMAGES = 16
_SEED = 0


@dataclass(frozen=True)
class Comparison:
    """Comparison of the logits of an ONNX file with those of the model in PyTorch.

    Attributes:
        images: Number of images compared.
        at_threshold: Number of images left out because an attention weight is so close to the
            mask's threshold that rounding decides what is masked.
        difference: Largest difference of a logit.
        deviation: Root mean square of the differences, divided by the logits' standard deviation.
        rounding: The same for the model's logits in float32 compared with double precision, for
            the median image.
    """

    images: int
    at_threshold: int
    difference: float
    deviation: float
    rounding: float

    def passes(self, precision: str) -> bool:
        """Return whether the file is accurate enough.

        Args:
            precision: ``fp32``, ``fp16`` or ``int8``.
        """
        if precision == "fp32":
            as_exact = self.deviation <= ROUNDING_TOLERANCE * self.rounding
            return self.difference <= LOGITS_TOLERANCE or as_exact
        return self.deviation <= RELATIVE_TOLERANCES[precision]

    def __str__(self) -> str:
        """Return a description for log lines and error messages."""
        left_out = (
            f"; {self.at_threshold} more left out at the mask's threshold"
            if self.at_threshold
            else ""
        )
        return (
            f"logits of {self.images} drawn words differ by up to {self.difference:.1e}, "
            f"{self.deviation:.1e} of their spread (float32 rounding alone: "
            f"{self.rounding:.1e}){left_out}"
        )


def compare(
    model: LPV, file: str | os.PathLike, preprocessing: Preprocessing, mask: bool
) -> Comparison:
    """Compare a file with the model on drawn words, in batches of different sizes.

    Args:
        model: Model that the file was made from.
        file: ONNX file.
        preprocessing: Preprocessing of the images.
        mask: Whether the file uses the mask.

    Returns:
        The comparison. If no image is clear of the threshold, all are compared.
    """
    images = preprocessing.normalise(drawn_images(preprocessing))
    expected, clear = reference(model, images, mask)
    threads = torch.get_num_threads()
    run, _ = start(Path(file), "onnxruntime", threads=threads, providers=None)
    parts = images[:1], images[1:]
    found = torch.cat([torch.from_numpy(run(part.numpy())[0]) for part in parts])
    chosen = clear if clear.any() else torch.ones_like(clear)
    difference = found[chosen] - expected[chosen]
    exact, _ = reference(copy.deepcopy(model).double(), images, mask)
    rounded = (expected - exact)[chosen].square().mean((1, 2)).sqrt()
    spread = float(expected[chosen].std())
    return Comparison(
        images=int(chosen.sum()),
        at_threshold=int((~chosen).sum()),
        # NaN must not pass as a small difference.
        difference=float(difference.abs().nan_to_num(nan=torch.inf).max()),
        deviation=float(difference.nan_to_num(nan=torch.inf).square().mean().sqrt()) / spread,
        # The median, because an image whose mask depends on rounding is far off.
        rounding=float(rounded.median()) / spread,
    )


@torch.no_grad()
def reference(model: LPV, images: torch.Tensor, mask: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Run the model itself on images.

    Args:
        model: Model; its training mode and mask are restored afterwards.
        images: Images of shape (N, C, H, W), normalised.
        mask: Whether to use the mask.

    Returns:
        Logits of the last stage, shape (N, T, C), in the dtype of the model's parameters, and a
        boolean tensor (N,): whether every attention weight that the mask depends on is clear of its
        threshold. Both are on the CPU.
    """
    decoder, was_training, had_mask = model.decoder, model.training, model.decoder.with_mask
    parameter = next(model.parameters())
    model.eval()
    decoder.with_mask = mask
    try:
        features = model.extract_feat(images.to(parameter))
        if model.with_encoder:
            features = model.encoder(features, None)
        outputs = decoder.forward_train(out_enc=features)
    finally:
        model.train(was_training)
        decoder.with_mask = had_mask
    clear = torch.ones(len(images), dtype=torch.bool)
    if mask:
        deciding = outputs["attn_maps"][:-1].float() - decoder.mask_threshold
        clear = (deciding.abs() > THRESHOLD_MARGIN).cpu().transpose(0, 1).flatten(1).all(1)
    return outputs["logits"][-1].cpu(), clear


def drawn_images(preprocessing: Preprocessing, number: int = _IMAGES) -> list[torch.Tensor]:
    """Draw images of random words in the size of the network's input.

    Args:
        preprocessing: Preprocessing, which sets the size.
        number: Number of images.

    Returns:
        Images of shape (3, H, W), uint8.
    """
    rng = np.random.default_rng(_SEED)
    size = (preprocessing.width, preprocessing.height)
    images = (draw_word(word, rng) for word in random_words(number, _SEED))
    return [
        torch.from_numpy(np.ascontiguousarray(imresize(image, size).transpose(2, 0, 1)))
        for image in images
    ]
