"""Augmentation of batches of word images on the training device."""

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
    convolve,
    cover,
    downsample,
    fitted_matrix,
    line_mask,
    matrices,
    per_pixel,
    product,
    recolour,
    warp,
)

PROBABILITIES = dict(warp=0.6, colour=0.6, pattern=0.25, blur=0.4, low_resolution=0.25, noise=0.35)
"""Probability of each group for an image that is not left intact, in order of application:
deformation of the word, lighting, occlusion, lens and camera."""

_NUM_BLOCKS = 3
# Colour changes that keep less than this fraction of the contrast are rejected.
_CONTRAST_TO_KEEP = 0.4


@MODELS.register_module()
class BatchTextAugment(nn.Module):
    """In-place augmentation of a batch, with a separate combination of operations for each image.

    An entry of ``batch_augments`` of MMOCR's ``TextRecogDataPreprocessor``, which calls it after
    normalisation, and in training only. That class discards what augmentations return, so the
    images are **overwritten**. They must be normalised to 0..1 (``mean=[0, 0, 0]``,
    ``std=[255, 255, 255]``); values cannot be checked without waiting for the device.

    On average, a fraction ``intact_prob`` of each batch, drawn at random, stays unchanged; only
    the rest is gathered, augmented and written back, so that intact images cost nothing. Each
    group is applied to an augmented image with the group's probability and a random strength.

    The set follows STR-Aug (Atienza, "Data Augmentation for Scene Text Recognition", ICCVW 2021)
    as far as a few kernels allow; ``TextAugment`` implements all of it.

    Args:
        intact_prob: Probability of leaving an image unchanged.
        magnitude: Minimum and maximum strength; 0 changes nothing, 1 is the strongest at which
            text stays readable. Drawn from this range for each image and group.
        groups: Names of the groups to use with their default probabilities (``PROBABILITIES``),
            or a mapping of names to probabilities; None for all groups.

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
            inputs: Floating-point images of shape (N, 3, H, W), 0..1, RGB. Computation is in
                float32, also under autocast.
            data_samples: Labels of any kind; returned unchanged.
            generator: Random generator on the device of ``inputs``; None for the device's default
                generator, which ``torch.manual_seed`` seeds.

        Returns:
            ``inputs``, overwritten, and ``data_samples``.

        Raises:
            TypeError: If ``inputs`` is not a floating-point tensor of shape (N, 3, H, W).
        """
        if not inputs.is_floating_point() or inputs.dim() != 4 or inputs.size(1) != 3:
            raise TypeError(
                "BatchTextAugment needs floating-point images (N, 3, H, W) normalised to 0..1, "
                f"but got {inputs.dtype} {tuple(inputs.shape)}; give the data preprocessor mean "
                "and std"
            )
        num_changed = inputs.size(0) * (1 - self.intact_prob)
        count = math.ceil(num_changed)
        if count:
            with torch.autocast(inputs.device.type, enabled=False):
                order = torch.rand(inputs.size(0), device=inputs.device, generator=generator)
                chosen = order.argsort()[:count]
                images = inputs.index_select(0, chosen)
                augmented = self.augment(images.float(), generator).to(inputs.dtype)
                # If the fraction is not a whole number of images, chance decides on the last one.
                rank = torch.arange(count, device=inputs.device)
                bound = num_changed - torch.rand(1, device=inputs.device, generator=generator)
                augmented = torch.where(per_pixel(rank < bound), augmented, images)
                inputs.index_copy_(0, chosen, augmented)
        return inputs, data_samples

    def augment(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return augmented copies of all images, float32 (N, 3, H, W), 0..1."""
        batch = _Batch(images, generator)
        for name in PROBABILITIES:
            if name in self.probabilities:
                strength = self.draw_strength(name, batch)
                images = _GROUPS[name](images, strength, batch)
        return images

    def draw_strength(self, name: str, batch: _Batch) -> Tensor:
        """Draw the strength of a group for each of N images, (N,); 0 where it is not applied."""
        share, chance = batch.uniform(2)
        least, greatest = self.magnitude
        return (least + (greatest - least) * share) * (chance < self.probabilities[name])

    def extra_repr(self) -> str:
        """Return the settings for ``repr``."""
        return (
            f"intact_prob={self.intact_prob}, magnitude={self.magnitude}, "
            f"groups={self.probabilities}"
        )


def _checked_probabilities(
    groups: Sequence[str] | Mapping[str, float] | None,
) -> dict[str, float]:
    """Return the probability of every group in use."""
    if isinstance(groups, str):
        raise TypeError(f"groups must be a list of names, e.g. [{groups!r}]")
    groups = PROBABILITIES if groups is None else groups
    unknown = sorted(set(groups) - set(PROBABILITIES))
    if unknown:
        raise ValueError(f"unknown group {unknown[0]!r}; the groups are {', '.join(PROBABILITIES)}")
    if not isinstance(groups, Mapping):
        groups = {name: PROBABILITIES[name] for name in groups}
    for name, probability in groups.items():
        if not 0 <= probability <= 1:
            raise ValueError(
                f"the probability of group {name!r} must lie in [0, 1], but is {probability!r}"
            )
    return dict(groups)


class _Batch:
    """Properties of the N images of a batch that the groups need, and random numbers for them.

    Args:
        images: Images (N, 3, H, W), before any change.
        generator: Source of randomness.

    Attributes:
        clarity: How well the text stands out, 0 to 1, (N,); limits operations that cover text.
        generator: Source of randomness.
    """

    def __init__(self, images: Tensor, generator: torch.Generator | None) -> None:
        # Text that covers a quarter of a plain image differs from it by 2.3 times this deviation.
        self.clarity = (4 * _contrast(images)).clamp(max=1)
        self.generator = generator
        self._device = images.device
        self._num_images = len(images)

    def uniform(self, count: int) -> Tensor:
        """Return random numbers in [0, 1), (count, N)."""
        return torch.rand((count, self._num_images), device=self._device, generator=self.generator)

    def signed(self, count: int) -> Tensor:
        """Return random numbers in [-1, 1), (count, N)."""
        return 2 * self.uniform(count) - 1


def _warp(images: Tensor, strength: Tensor, batch: _Batch) -> Tensor:
    """Rotate, shear, tilt, stretch, shift and bend."""
    aspect = images.size(3) / images.size(2)
    angle, shear, vanish_x, vanish_y, bend, *place = batch.signed(7)
    width, height, frequency, phase = batch.uniform(4)
    matrix = fitted_matrix(
        angle=math.radians(15) * strength * angle,
        shear=0.4 * strength * shear,
        perspective=torch.stack((0.3 * strength * vanish_x, 0.2 * strength * vanish_y), dim=1),
        # Sometimes a little larger than the frame: crops of real words cut letters, too.
        size=1 + strength[:, None] * (0.04 - 0.29 * torch.stack((width, height), dim=1)),
        place=torch.stack(place, dim=1),
        aspect=aspect,
    )
    # Half of the images stay straight.
    bend = 0.3 * strength * bend.relu()
    return warp(images, matrix, bend, 0.4 + 0.8 * frequency, 2 * math.pi * phase)


def _colour(images: Tensor, strength: Tensor, batch: _Batch) -> Tensor:
    """Change brightness, contrast, gamma, saturation, hue; rarely make grey, invert, posterise."""
    brightness, contrast, gamma, saturation = strength * batch.signed(4)
    # Grey, inverse and few levels have no useful weak form; they are rare instead.
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
    # Vertical, horizontal and oblique lines are equally likely.
    upright, level = direction < 1 / 3, direction >= 2 / 3
    angle = (math.pi * angle).masked_fill(upright, 0).masked_fill(level, math.pi / 2)
    crossed = kind < 1 / 3
    # Two sets of lines cover twice as much, so they are further apart.
    period = pixel * (10 - 6 * strength * density + 2 * crossed)
    lines = line_mask(height, width, angle, period, phase, crossed)
    numbers = batch.uniform(4 * _NUM_BLOCKS).T.view(-1, 4, _NUM_BLOCKS, 1)
    x, y, *size = numbers.unbind(1)
    size = pixel * (1 + 5 * strength[:, None, None] * torch.cat(size, dim=2))
    blocks = block_mask(height, width, torch.cat((x * width, y * height), dim=2), size)
    mask = torch.where((kind < 2 / 3)[:, None, None], lines, blocks)
    return cover(images, mask, torch.stack(colour, dim=1), batch.clarity * strength.sqrt())


def _blur(images: Tensor, strength: Tensor, batch: _Batch) -> Tensor:
    """Apply Gaussian, oblong, motion or box blur, or sharpen."""
    pixel = images.size(2) / 32
    kind, angle, narrow = batch.uniform(3)
    gaussian, oblong, motion, box = (kind * 5 // 1 == number for number in range(4))
    sharp = ~(gaussian | oblong | motion | box)
    reach = pixel * strength * (1.4 * gaussian + 2.2 * oblong + 3.0 * motion + 1.8 * box)
    reach = reach.masked_fill(sharp, pixel)
    across = reach * (1 - oblong * (0.5 + 0.3 * narrow))
    # With the box's exponent, this is a line one pixel wide.
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
    """Downsample, to a smaller size the higher the strength, and upsample again."""
    return downsample(images, (3 * strength).ceil())


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
    """Return the standard deviation over the pixels, pooled over the channels, (N,)."""
    # Three times as fast as std() on a CPU; no image is so plain that rounding matters.
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
