"""Whether an ONNX file computes what the model computes."""

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
"""An attention weight this near to the mask's threshold may fall on either side of it."""

LOGITS_TOLERANCE = 1e-4
"""Largest difference of a logit in fp32."""

ROUNDING_TOLERANCE = 4.0
"""In fp32 a model may also be off by this times what its own float32 is off from double precision:
weights that make rounding errors large do so in every correct reader."""

RELATIVE_TOLERANCES = {"fp16": 0.02, "int8": 0.2}
"""Largest deviation of the logits, relative to their spread. A wrong graph is off by 1 and more."""

_PICTURES = 16
_SEED = 0


@dataclass(frozen=True)
class Comparison:
    """Logits of an ONNX file beside those of the model in PyTorch.

    Attributes:
        pictures: Number of pictures compared.
        at_threshold: Number of pictures left out, since an attention weight is so near to the
            mask's threshold that rounding decides what is masked.
        difference: Largest difference of a logit.
        deviation: Root mean square of the differences, divided by the logits' standard deviation.
        rounding: The same of the model's logits in float32 beside those in double precision, for
            the median picture.
    """

    pictures: int
    at_threshold: int
    difference: float
    deviation: float
    rounding: float

    def passes(self, precision: str) -> bool:
        """Whether the file is good enough.

        Args:
            precision: ``fp32``, ``fp16`` or ``int8``.
        """
        if precision == "fp32":
            as_exact = self.deviation <= ROUNDING_TOLERANCE * self.rounding
            return self.difference <= LOGITS_TOLERANCE or as_exact
        return self.deviation <= RELATIVE_TOLERANCES[precision]

    def __str__(self) -> str:
        """In words, for people."""
        left_out = f", {self.at_threshold} at the mask's threshold" if self.at_threshold else ""
        return (
            f"logits of {self.pictures} drawn words differ by up to {self.difference:.1e}, "
            f"{self.deviation:.1e} of their spread, of which float32 itself rounds "
            f"{self.rounding:.1e}{left_out}"
        )


def compare(
    model: LPV, file: str | os.PathLike, preprocessing: Preprocessing, mask: bool
) -> Comparison:
    """Compare a file with the model on drawn words, in batches of different sizes.

    Args:
        model: The model that the file was made from.
        file: The ONNX file.
        preprocessing: How pictures are prepared.
        mask: Whether the file uses the mask.

    Returns:
        How near they are. With no picture clear of the threshold, all are compared.
    """
    images = preprocessing.normalise(drawn_pictures(preprocessing))
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
        pictures=int(chosen.sum()),
        at_threshold=int((~chosen).sum()),
        # A NaN must not pass for a small difference.
        difference=float(difference.abs().nan_to_num(nan=torch.inf).max()),
        deviation=float(difference.nan_to_num(nan=torch.inf).square().mean().sqrt()) / spread,
        # The median, since a picture whose mask hangs on the rounding is far off.
        rounding=float(rounded.median()) / spread,
    )


@torch.no_grad()
def reference(model: LPV, images: torch.Tensor, mask: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """What the model itself makes of images.

    Args:
        model: The model; training mode and mask are as before afterwards.
        images: Shape (N, C, H, W), normalised.
        mask: Whether to use the mask.

    Returns:
        Logits of the last stage, shape (N, T, C), in the type of the model's parameters, and a
        boolean tensor (N,): whether every attention weight that the mask depends on is clear of its
        threshold. Both on the CPU.
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


def drawn_pictures(preprocessing: Preprocessing, number: int = _PICTURES) -> list[torch.Tensor]:
    """Pictures of random words in the size of the images.

    Args:
        preprocessing: Says the size.
        number: How many.

    Returns:
        Pictures of shape (3, H, W), uint8.
    """
    rng = np.random.default_rng(_SEED)
    size = (preprocessing.width, preprocessing.height)
    pictures = (draw_word(word, rng) for word in random_words(number, _SEED))
    return [
        torch.from_numpy(np.ascontiguousarray(imresize(picture, size).transpose(2, 0, 1)))
        for picture in pictures
    ]
