"""Augmentation of whole batches of word pictures on the device that trains."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from mmocr.registry import MODELS
from torch import Tensor, nn

from .batch_operations import (
    add_noise,
    block_mask,
    blur_kernels,
    coarsen,
    convolve,
    cover,
    fitted_matrix,
    line_mask,
    matrices,
    per_pixel,
    product,
    recolour,
    warp,
)

PROBABILITIES = dict(warp=0.6, colour=0.6, pattern=0.25, blur=0.4, low_resolution=0.25, noise=0.35)
"""How often each group is used on a picture that is not left intact, in the order of use: what
happens to the word, its light, what stands before it, the lens, and the camera."""

_NUM_BLOCKS = 3
# A change of colour that leaves less of the contrast than this is not made.
_CONTRAST_TO_KEEP = 0.4


@MODELS.register_module()
class BatchTextAugment(nn.Module):
    """Augment a batch where it lies, each picture by its own combination of operations.

    An entry of ``batch_augments`` of MMOCR's ``TextRecogDataPreprocessor``, which calls it after
    normalisation, and in training only. That class throws away what augmentations return, so the
    pictures are **overwritten**. They must be normalised to 0..1 (``mean=[0, 0, 0]``,
    ``std=[255, 255, 255]``); values cannot be checked without waiting for the device.

    On average a share ``intact_prob`` of a batch, drawn anew, stays as it is; the rest is taken
    out, augmented and put back, so that intact pictures cost nothing. A picture that is augmented
    goes through every group with the group's probability, at a strength of its own.

    The set follows STR-Aug (Atienza, "Data Augmentation for Scene Text Recognition", ICCVW 2021)
    as far as it can be had in a few kernels; ``TextAugment`` is the whole of it.

    Args:
        intact_prob: Probability of leaving a picture as it is.
        magnitude: Least and greatest strength; 0 changes nothing, 1 is as strong as text stays
            readable. Each picture and group draws from this range.
        groups: Names of the groups to use with their usual probabilities (``PROBABILITIES``), or
            a mapping to their probabilities; all when None.

    Raises:
        ValueError: If a value is out of range or a name is unknown.
        TypeError: If ``groups`` is a single string.
    """

    def __init__(
        self,
        *,
        intact_prob: float = 0.5,
        magnitude: tuple[float, float] = (0.1, 1.0),
        groups: Sequence[str] | Mapping[str, float] | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= intact_prob <= 1:
            raise ValueError(f"intact_prob must lie in [0, 1], but is {intact_prob!r}")
        if len(magnitude) != 2 or not 0 <= magnitude[0] <= magnitude[1] <= 1:
            raise ValueError(
                f"magnitude must be (least, greatest) within [0, 1], but is {magnitude!r}"
            )
        self.intact_prob = float(intact_prob)
        self.magnitude = tuple(magnitude)
        self.probabilities = _checked_probabilities(groups)

    @torch.no_grad()
    def forward(
        self, inputs: Tensor, data_samples: Any = None, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Any]:
        """Augment ``inputs`` in place.

        Args:
            inputs: Floating-point pictures of shape (N, 3, H, W), 0..1, RGB. Computation is in
                float32, under autocast too.
            data_samples: Labels of any kind; handed back.
            generator: Source of all randomness, of the device of ``inputs``; that device's own
                when None, which ``torch.manual_seed`` seeds.

        Returns:
            ``inputs``, overwritten, and ``data_samples``.

        Raises:
            TypeError: If ``inputs`` is no floating-point tensor of shape (N, 3, H, W).
        """
        if not inputs.is_floating_point() or inputs.dim() != 4 or inputs.size(1) != 3:
            raise TypeError(
                "BatchTextAugment needs floating-point pictures (N, 3, H, W) normalised to 0..1, "
                f"but got {inputs.dtype} {tuple(inputs.shape)}; give the data preprocessor mean "
                "and std"
            )
        num_changed = inputs.size(0) * (1 - self.intact_prob)
        count = math.ceil(num_changed)
        if count:
            with torch.autocast(inputs.device.type, enabled=False):
                order = torch.rand(inputs.size(0), device=inputs.device, generator=generator)
                chosen = order.argsort()[:count]
                pictures = inputs.index_select(0, chosen)
                augmented = self.augment(pictures.float(), generator).to(inputs.dtype)
                # Where the share of the batch is not whole, chance decides on the last one.
                rank = torch.arange(count, device=inputs.device)
                bound = num_changed - torch.rand(1, device=inputs.device, generator=generator)
                augmented = torch.where(per_pixel(rank < bound), augmented, pictures)
                inputs.index_copy_(0, chosen, augmented)
        return inputs, data_samples

    def augment(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Augment every picture, float32 (N, 3, H, W), 0..1, and return new ones."""
        batch = _Batch(images, generator)
        for name in PROBABILITIES:
            if name in self.probabilities:
                strength = self.draw_strength(name, batch)
                images = _GROUPS[name](images, strength, batch)
        return images

    def draw_strength(self, name: str, batch: _Batch) -> Tensor:
        """Draw how strongly a group acts on each of N pictures, (N,); 0 where it does not."""
        share, chance = batch.uniform(2)
        least, greatest = self.magnitude
        return (least + (greatest - least) * share) * (chance < self.probabilities[name])

    def extra_repr(self) -> str:
        """Show the settings."""
        return (
            f"intact_prob={self.intact_prob}, magnitude={self.magnitude}, "
            f"groups={self.probabilities}"
        )


def _checked_probabilities(
    groups: Sequence[str] | Mapping[str, float] | None,
) -> dict[str, float]:
    """Probability of every group that is used."""
    if isinstance(groups, str):
        raise TypeError(f"groups must be a list of names, e.g. [{groups!r}]")
    groups = PROBABILITIES if groups is None else groups
    unknown = sorted(set(groups) - set(PROBABILITIES))
    if unknown:
        raise ValueError(f"unknown group {unknown[0]!r}; there are {', '.join(PROBABILITIES)}")
    if not isinstance(groups, Mapping):
        groups = {name: PROBABILITIES[name] for name in groups}
    for name, probability in groups.items():
        if not 0 <= probability <= 1:
            raise ValueError(
                f"the probability of group {name!r} must lie in [0, 1], but is {probability!r}"
            )
    return dict(groups)


class _Batch:
    """What the groups need to know of the N pictures of a batch, and random numbers for them.

    Args:
        images: Pictures (N, 3, H, W), before any change.
        generator: Source of randomness.

    Attributes:
        clarity: How well the text stands out, 0 to 1, (N,). What covers text is held back by it.
        generator: Source of randomness.
    """

    def __init__(self, images: Tensor, generator: torch.Generator | None) -> None:
        # Text that covers a quarter of a plain picture stands out by 2.3 times this deviation.
        self.clarity = (4 * _contrast(images)).clamp(max=1)
        self.generator = generator
        self._device = images.device
        self._num_pictures = len(images)

    def uniform(self, count: int) -> Tensor:
        """Numbers in [0, 1), (count, N)."""
        return torch.rand(
            (count, self._num_pictures), device=self._device, generator=self.generator
        )

    def signed(self, count: int) -> Tensor:
        """Numbers in [-1, 1), (count, N)."""
        return 2 * self.uniform(count) - 1


def _warp(images: Tensor, strength: Tensor, batch: _Batch) -> Tensor:
    """Turn, shear, tilt, stretch, move and bend."""
    aspect = images.size(3) / images.size(2)
    angle, shear, vanish_x, vanish_y, bend, *place = batch.signed(7)
    width, height, frequency, phase = batch.uniform(4)
    matrix = fitted_matrix(
        angle=math.radians(15) * strength * angle,
        shear=0.4 * strength * shear,
        perspective=torch.stack((0.3 * strength * vanish_x, 0.2 * strength * vanish_y), dim=1),
        # A little larger than the frame at times: crops of real words cut letters, too.
        size=1 + strength[:, None] * (0.04 - 0.29 * torch.stack((width, height), dim=1)),
        place=torch.stack(place, dim=1),
        aspect=aspect,
    )
    # Half of the pictures stay straight.
    bend = 0.3 * strength * bend.relu()
    return warp(images, matrix, bend, 0.4 + 0.8 * frequency, 2 * math.pi * phase)


def _colour(images: Tensor, strength: Tensor, batch: _Batch) -> Tensor:
    """Change brightness, contrast, gamma, saturation and hue; rarely grey, inverse, few levels."""
    brightness, contrast, gamma, saturation = strength * batch.signed(4)
    # Grey, inverse and few levels have no weak form that is of use; they are rare instead.
    grey, inverse, few = (batch.uniform(3) < 0.12) & (strength > 0)
    tinted = (batch.uniform(1)[0] < 0.5) * strength
    one, zero = torch.ones_like(strength), torch.zeros_like(strength)
    identity = matrices((one, zero, zero), (zero, one, zero), (zero, zero, one))
    mix = identity + 0.4 * tinted[:, None, None] * batch.signed(9).T.view(-1, 3, 3)
    mix = mix / mix.sum(2, keepdim=True)
    kept = (1 + saturation).masked_fill(grey, 0)[:, None, None]
    luminance = matrices((0.299 * one, 0.587 * one, 0.114 * one))
    matrix = product(mix, kept * identity + (1 - kept) * luminance)
    gain = 2**contrast
    offset = (1 - gain) * images.mean((1, 2, 3)) + 0.3 * batch.clarity * brightness
    gain, offset = gain.where(~inverse, -gain), offset.where(~inverse, 1 - offset)
    levels = (16 - 12 * batch.clarity * strength).round().masked_fill(~few, 2**16)
    changed = recolour(
        images, gain[:, None, None] * matrix, offset, gamma=2 ** (0.8 * gamma), levels=levels
    )
    legible = _contrast(changed) >= _CONTRAST_TO_KEEP * _contrast(images)
    return torch.where(per_pixel(legible), changed, images)


def _pattern(images: Tensor, strength: Tensor, batch: _Batch) -> Tensor:
    """Cover with lines, a grid or small blocks of one colour."""
    height, width = images.shape[2:]
    pixel = height / 32
    kind, direction, angle, density, phase, *colour = batch.uniform(8)
    # Upright, level and slanting lines are equally likely.
    upright, level = direction < 1 / 3, direction >= 2 / 3
    angle = (math.pi * angle).masked_fill(upright, 0).masked_fill(level, math.pi / 2)
    crossed = kind < 1 / 3
    # Two sets of lines cover twice as much, so they lie further apart.
    period = pixel * (10 - 6 * strength * density + 2 * crossed)
    lines = line_mask(height, width, angle, period, phase, crossed)
    numbers = batch.uniform(4 * _NUM_BLOCKS).T.view(-1, 4, _NUM_BLOCKS, 1)
    x, y, *size = numbers.unbind(1)
    size = pixel * (1 + 5 * strength[:, None, None] * torch.cat(size, dim=2))
    blocks = block_mask(height, width, torch.cat((x * width, y * height), dim=2), size)
    mask = torch.where((kind < 2 / 3)[:, None, None], lines, blocks)
    return cover(images, mask, torch.stack(colour, dim=1), batch.clarity * strength.sqrt())


def _blur(images: Tensor, strength: Tensor, batch: _Batch) -> Tensor:
    """Blur evenly, along a direction, by motion or over a box, or sharpen."""
    pixel = images.size(2) / 32
    kind, angle, narrow = batch.uniform(3)
    gaussian, oblong, motion, box = (kind * 5 // 1 == number for number in range(4))
    sharp = ~(gaussian | oblong | motion | box)
    reach = pixel * strength * (1.4 * gaussian + 2.2 * oblong + 3.0 * motion + 1.8 * box)
    reach = reach.masked_fill(sharp, pixel)
    across = reach * (1 - oblong * (0.5 + 0.3 * narrow))
    # At the box's exponent this is a line one pixel wide.
    across = across.masked_fill(motion, 0.6)
    kernels = blur_kernels(
        torch.stack((reach, across), dim=1).clamp(min=0.2),
        math.pi * angle,
        exponent=2 + 6.0 * (motion | box),
        amount=(strength > 0).where(~sharp, -1.5 * strength),
        radius=max(1, round(4 * pixel)),
    )
    return convolve(images, kernels).clamp(0, 1)


def _low_resolution(images: Tensor, strength: Tensor, batch: _Batch) -> Tensor:
    """Sample down and up again, to a smaller size the stronger."""
    return coarsen(images, (3 * strength).ceil())


def _noise(images: Tensor, strength: Tensor, batch: _Batch) -> Tensor:
    """Add Gaussian noise, speckles, or black and white dots."""
    kind = batch.uniform(1)[0] * 3 // 1
    strength = strength * batch.clarity
    return add_noise(
        images,
        gaussian=0.13 * strength * (kind == 0),
        speckle=0.3 * strength * (kind == 1),
        impulse=0.1 * strength * (kind == 2),
        generator=batch.generator,
    )


def _contrast(images: Tensor) -> Tensor:
    """Standard deviation over the pixels, all channels together, (N,)."""
    # Three times as fast as std() on a CPU; no picture is so plain that rounding counts.
    squares, means = images.square().mean((2, 3)), images.mean((2, 3))
    return (squares - means.square()).mean(1).clamp(min=0).sqrt()


_GROUPS: dict[str, Callable[[Tensor, Tensor, _Batch], Tensor]] = dict(
    warp=_warp,
    colour=_colour,
    pattern=_pattern,
    blur=_blur,
    low_resolution=_low_resolution,
    noise=_noise,
)
