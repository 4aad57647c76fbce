"""Operations on batches of word images, with separate parameters for each image.

Parameters have a first dimension N, one entry per image. The number of kernels depends on no
value, and no value is read back, so the host runs ahead of the device. Constants come from scalars
and ``arange``: copying a tensor made from a Python list to the device would block.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

_SHARES = (0.75, 0.6, 0.45)


def warp(
    images: Tensor, matrix: Tensor, amplitude: Tensor, frequency: Tensor, phase: Tensor
) -> Tensor:
    """Resample images once, by a projective map followed by a wave along x.

    Lengths are in half heights: x goes from -W/H to W/H and y from -1 (top) to 1. A point p of the
    result shows (x, (1 + |a|) y + a sin(2π f x H / 2W + φ)) of the image, where (x, y) is
    ``matrix`` applied to p. The factor keeps the crests of the wave within the image.

    Args:
        images: Images (N, 3, H, W).
        matrix: Homogeneous maps from the result to the image, (N, 3, 3).
        amplitude: Amplitude a of the wave.
        frequency: Number f of waves over the width.
        phase: Phase φ in radians.

    Returns:
        Images of the same shape, bilinearly interpolated, with border pixels repeated outwards.
    """
    height, width = images.shape[2:]
    x = (torch.arange(width, device=images.device) + 0.5) * 2 / height - width / height
    y = (torch.arange(height, device=images.device) + 0.5) * 2 / height - 1
    m = matrix[..., None, None]
    across, down, scale = (m[:, :, 0] * x + m[:, :, 1] * y[:, None] + m[:, :, 2]).unbind(1)
    across, down = across / scale, down / scale
    bend, frequency, phase = (v[:, None, None] for v in (amplitude, frequency, phase))
    wave = (across * frequency * (math.pi * height / width) + phase).sin()
    down = (1 + bend.abs()) * down + bend * wave
    grid = torch.stack((across * (height / width), down), dim=-1)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def fitted_matrix(
    angle: Tensor, shear: Tensor, perspective: Tensor, size: Tensor, place: Tensor, aspect: float
) -> Tensor:
    """Return projective maps that rotate, shear and tilt images and fit them into their frames.

    However strong the map, no letter leaves the frame unless ``size`` exceeds 1.

    Args:
        angle: Rotation in radians, (N,).
        shear: Shift of x for each unit of y, (N,).
        perspective: Perspective along x and y, (N, 2): points are divided by 1 + perspective ·
            (x H / W, y). The two magnitudes must add up to less than 1.
        size: Width and height of the result as fractions of the frame, (N, 2).
        place: Position of the result within the spare (or missing) space, -1..1, (N, 2).
        aspect: Width of the frame divided by its height.

    Returns:
        Maps from the frame to the image for :func:`warp`, (N, 3, 3).
    """
    cos, sin, zero, one = angle.cos(), angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)
    affine = matrices(
        (cos, cos * shear - sin, zero), (sin, sin * shear + cos, zero), (zero, zero, one)
    )
    vanish_x, vanish_y = perspective.unbind(1)
    vanishing = matrices((one, zero, zero), (zero, one, zero), (vanish_x / aspect, vanish_y, one))
    # Perspective acts first, on the frame itself, whose extent is known.
    forward = product(affine, vanishing)
    sign = torch.arange(4, device=angle.device)
    corner_x, corner_y = (sign % 2 * 2 - 1) * aspect, sign // 2 * 2 - 1
    m = forward[..., None]
    corners = m[:, :, 0] * corner_x + m[:, :, 1] * corner_y + m[:, :, 2]
    corners = corners[:, :2] / corners[:, 2:]
    low, high = corners.amin(2), corners.amax(2)
    (scale_x, scale_y), (centre_x, centre_y) = (2 / (high - low)).T, ((high + low) / 2).T
    scale_x, scale_y = scale_x * aspect * size[:, 0], scale_y * size[:, 1]
    move_x = (1 - size[:, 0]) * place[:, 0] * aspect - scale_x * centre_x
    move_y = (1 - size[:, 1]) * place[:, 1] - scale_y * centre_y
    fit = matrices((scale_x, zero, move_x), (zero, scale_y, move_y), (zero, zero, one))
    forward = product(fit, forward)
    # The adjugate is the inverse up to a factor, which does not matter, and needs no solver.
    rows = torch.linalg.cross(forward.roll(-1, 1), forward.roll(-2, 1), dim=2)
    return rows.transpose(1, 2)


def blur_kernels(
    reach: Tensor, angle: Tensor, exponent: Tensor, amount: Tensor, radius: int
) -> Tensor:
    """Return kernels exp(-½ (|p / σp|ᵉ + |q / σq|ᵉ)) along rotated axes p and q.

    Args:
        reach: σp and σq in pixels, positive, (N, 2).
        angle: Direction of p in radians, (N,).
        exponent: e; 2 is a Gaussian, 8 nearly a box.
        amount: 1 blurs, 0 gives the identity, negative values sharpen.
        radius: Radius R of the kernels in pixels.

    Returns:
        Kernels (N, 2R + 1, 2R + 1) that sum to 1.
    """
    line = torch.arange(-radius, radius + 1, device=reach.device)
    angle, exponent, amount = (v[:, None, None] for v in (angle, exponent, amount))
    along, across = reach[..., None, None].unbind(1)
    cos, sin = angle.cos(), angle.sin()
    p = ((cos * line + sin * line[:, None]) / along).abs()
    q = ((cos * line[:, None] - sin * line) / across).abs()
    kernel = torch.exp(-0.5 * (p**exponent + q**exponent))
    kernel = kernel / kernel.sum((1, 2), keepdim=True)
    delta = (line == 0) & (line[:, None] == 0)
    return amount * kernel + (1 - amount) * delta


def convolve(images: Tensor, kernels: Tensor) -> Tensor:
    """Correlate each image (N, 3, H, W) with its kernel (N, k, k), repeating border pixels."""
    radius = kernels.size(-1) // 2
    # Images as channels, colours as the batch: one depthwise convolution.
    padded = F.pad(images.transpose(0, 1), (radius,) * 4, mode="replicate")
    return F.conv2d(padded, kernels[:, None], groups=len(images)).transpose(0, 1)


def add_noise(
    images: Tensor,
    gaussian: Tensor,
    speckle: Tensor,
    impulse: Tensor,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Add noise that is independent from pixel to pixel.

    Args:
        images: Images (N, 3, H, W), 0..1.
        gaussian: Standard deviation of the additive noise.
        speckle: Standard deviation of the noise added to a value of 1; proportional to the value.
        impulse: Fraction of pixels that become black or white.
        generator: Source of randomness.

    Returns:
        Images of the same shape, 0..1.
    """
    options = dict(device=images.device, generator=generator)
    normal = torch.randn(images.shape, **options)
    chance = torch.rand((len(images), 1, *images.shape[2:]), **options)
    noisy = images + normal * (per_pixel(gaussian) + per_pixel(speckle) * images)
    half = per_pixel(impulse) / 2
    # Dots are written as out-of-range values, which the clamp turns black and white.
    dots = 9.0 * (chance >= 1 - half) - 9.0 * (chance < half)
    return (noisy + dots).clamp(0, 1)


def recolour(
    images: Tensor, matrix: Tensor, offset: Tensor, gamma: Tensor, levels: Tensor
) -> Tensor:
    """Mix the channels, apply a gamma curve, and quantise the values.

    Args:
        images: Images (N, 3, H, W), 0..1.
        matrix: Channel mixing matrices, (N, 3, 3).
        offset: Values added after mixing, (N,).
        gamma: Exponent of the values, positive.
        levels: Number of levels to quantise to, at least 2.

    Returns:
        Images of the same shape, 0..1.
    """
    mixed = torch.baddbmm(offset[:, None, None], matrix, images.flatten(2)).view_as(images)
    curved = mixed.clamp(0, 1) ** per_pixel(gamma)
    steps = per_pixel(levels - 1)
    return (curved * steps).round() / steps


def cover(images: Tensor, mask: Tensor, colour: Tensor, opacity: Tensor) -> Tensor:
    """Paint a colour (N, 3) over the mask (N, H, W) with the given opacity (N,)."""
    weight = opacity[:, None, None] * mask
    return torch.lerp(images, colour[..., None, None], weight[:, None])


def line_mask(
    height: int, width: int, angle: Tensor, period: Tensor, phase: Tensor, crossed: Tensor
) -> Tensor:
    """Return masks of parallel lines one pixel wide, or of a grid where ``crossed``.

    Args:
        height: Image height H.
        width: Image width W.
        angle: Direction perpendicular to the lines in radians, (N,).
        period: Distance between lines in pixels.
        phase: Offset of the first line in periods, 0..1.
        crossed: Whether there is a second set at right angles, bool.

    Returns:
        Boolean masks (N, H, W).
    """
    x = torch.arange(width, device=angle.device)
    y = torch.arange(height, device=angle.device)[:, None]
    cos, sin, period, phase, crossed = (
        v[:, None, None] for v in (angle.cos(), angle.sin(), period, phase, crossed)
    )
    first = (cos * x + sin * y + phase * period) % period < 1
    second = (cos * y - sin * x + phase * period) % period < 1
    return first | (second & crossed)


def block_mask(height: int, width: int, centre: Tensor, size: Tensor) -> Tensor:
    """Return masks of axis-aligned rectangles, K per image.

    Args:
        height: Image height H.
        width: Image width W.
        centre: Centres in pixels (x, y), (N, K, 2).
        size: Widths and heights in pixels, (N, K, 2).

    Returns:
        Boolean masks (N, H, W).
    """
    place = torch.arange(max(height, width), device=centre.device) + 0.5
    inside = (place - centre[..., None]).abs() <= size[..., None] / 2
    across, down = inside.unbind(2)
    return (across[..., None, :width] & down[..., :height, None]).any(1)


def downsample(images: Tensor, level: Tensor) -> Tensor:
    """Downsample images and upsample them again.

    Args:
        images: Images (N, 3, H, W).
        level: 0 leaves an image unchanged; 1, 2 and 3 go through 75, 60 and 45 % of its size.

    Returns:
        Images of the same shape.
    """
    result, options = images, dict(mode="bilinear", align_corners=False)
    for number, share in enumerate(_SHARES, 1):
        size = [max(1, round(length * share)) for length in images.shape[2:]]
        small = F.interpolate(images, size, antialias=True, **options)
        large = F.interpolate(small, images.shape[2:], **options)
        result = torch.where(per_pixel(level == number), large, result)
    return result


def per_pixel(values: Tensor) -> Tensor:
    """Reshape (N,) to (N, 1, 1, 1), to broadcast over images."""
    return values[:, None, None, None]


def matrices(*rows: tuple[Tensor, ...]) -> Tensor:
    """Return matrices (N, R, C) given R rows of C entries of shape (N,)."""
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=1)


def product(left: Tensor, right: Tensor) -> Tensor:
    """Multiply small matrices in full precision, which ``@`` lacks where TF32 is allowed."""
    return (left[..., None] * right[:, None]).sum(2)
