"""Random fields and textures, drawn from pools that are filled once.

Drawing ten thousand normal deviates takes longer than any of the operations that need them. The
deviates are therefore drawn once, from a fixed seed, and each use takes a run of them that begins
at one of a million positions: noise repeats, but hardly ever on the same image. The pools do not
depend on earlier requests, so that an augmented image depends on the generator alone.
"""

from __future__ import annotations

from random import Random

import cv2
import numpy as np

from .cache import cached_array

_POOL_SIZE = 2**20
_TEXTURE_SIDE = 512
_NUM_TEXTURES = 4


@cached_array
def _pool(kind: str) -> np.ndarray:
    """Return the pool of standard normal (float32) or uniform 16-bit (uint16) deviates."""
    generator = np.random.Generator(np.random.PCG64(20210814))
    if kind == "normal":
        return generator.standard_normal(_POOL_SIZE, dtype=np.float32)
    return generator.integers(0, 2**16, _POOL_SIZE, dtype=np.uint16)


def _take_run(kind: str, shape: tuple[int, ...], rng: Random) -> np.ndarray:
    pool = _pool(kind)
    size = int(np.prod(shape))
    start = rng.randrange(_POOL_SIZE)
    if start + size <= _POOL_SIZE:
        return pool[start : start + size].reshape(shape)
    return np.take(pool, np.arange(start, start + size), mode="wrap").reshape(shape)


def normal_field(shape: tuple[int, ...], rng: Random) -> np.ndarray:
    """Return independent standard normal deviates, float32, read-only."""
    return _take_run("normal", shape, rng)


def uniform_field(shape: tuple[int, ...], rng: Random) -> np.ndarray:
    """Return independent integers, uniform over 0 to 65535, uint16, read-only."""
    return _take_run("uniform", shape, rng)


def _spectral_noise(side: int, exponent: float, generator: np.random.Generator) -> np.ndarray:
    """Return a fractal surface, float64 (side, side) scaled to 0…1, periodic at its borders.

    White noise is given an amplitude spectrum of ``1 / frequency ** exponent``.
    """
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(generator.standard_normal((side, side))) / frequency**exponent
    surface = np.fft.irfft2(spectrum, s=(side, side))
    surface -= surface.min()
    return surface / surface.max()


@cached_array
def plasma_texture(roughness: float, index: int) -> np.ndarray:
    """Return a fog-like surface, uint8 (512, 512, 3), equal channels.

    Args:
        roughness: Factor by which the surface's amplitude falls from octave to octave; 2 is smooth,
            smaller is rougher. It is the decay of midpoint displacement, that is, a Hurst exponent
            of ``log2(roughness)``.
        index: Index of the surface among those of this roughness.
    """
    generator = np.random.Generator(np.random.PCG64([int(roughness * 1000), index]))
    surface = _spectral_noise(_TEXTURE_SIDE, np.log2(roughness) + 1, generator)
    return cv2.cvtColor(np.rint(surface * 255).astype(np.uint8), cv2.COLOR_GRAY2BGR)


def _branch(needles: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Grow side branches on ice needles, 60 degrees off and shorter towards the tip.

    Args:
        needles: Root x, root y, angle in radians and length of each needle, (n, 4).
        generator: Source of the branches' lengths.

    Returns:
        The branches, twelve per needle, (12·n, 4).
    """
    step = np.repeat(np.linspace(0.15, 0.9, 6), 2)
    turn = np.tile([np.pi / 3, -np.pi / 3], 6)
    x, y, angle, length = needles.T[:, :, None]
    branches = np.empty((len(needles), len(step), 4))
    branches[..., 0] = x + step * length * np.cos(angle)
    branches[..., 1] = y + step * length * np.sin(angle)
    branches[..., 2] = angle + turn
    branches[..., 3] = length * (1 - step) * generator.uniform(0.3, 0.7, branches.shape[:2])
    return branches.reshape(-1, 4)


def _draw_needles(canvas: np.ndarray, needles: np.ndarray, shades: tuple[int, ...]) -> None:
    """Draw the needles (n, 4) as lines, cycling through the shades."""
    tips = needles[:, :2] + needles[:, 3:] * np.stack(
        [np.cos(needles[:, 2]), np.sin(needles[:, 2])], axis=1
    )
    lines = np.rint(np.stack([needles[:, :2], tips], axis=1)).astype(np.int32)
    for first, shade in enumerate(shades):
        cv2.polylines(canvas, list(lines[first :: len(shades)]), False, shade, 1, cv2.LINE_AA)


@cached_array
def frost_texture(index: int) -> np.ndarray:
    """Return hoarfrost on glass, uint8 (512, 512, 3), BGR, bluish white crystals on dark."""
    generator = np.random.Generator(np.random.PCG64([6021, index]))
    crystals = np.zeros((_TEXTURE_SIDE, _TEXTURE_SIDE), np.uint8)
    needles = generator.uniform([0, 0, 0, 20], [_TEXTURE_SIDE, _TEXTURE_SIDE, 6.28, 90], (180, 4))
    branches = _branch(needles, generator)
    _draw_needles(crystals, _branch(branches, generator), (110, 140, 170))
    _draw_needles(crystals, branches, (150, 190, 230))
    _draw_needles(crystals, needles, (210, 255))
    film = 150 * _spectral_noise(_TEXTURE_SIDE, 1.4, generator)
    # Crystals grow in patches: in some places they are bright, elsewhere faint.
    patches = 0.25 + 0.75 * _spectral_noise(_TEXTURE_SIDE, 1.8, generator)
    light = film + patches * cv2.GaussianBlur(crystals, (3, 3), 0.6)
    tint = np.array([1.0, 0.96, 0.9])
    return np.clip(np.rint(light[..., None] * tint), 0, 255).astype(np.uint8)


def random_window(texture: np.ndarray, height: int, width: int, rng: Random) -> np.ndarray:
    """Return a (height, width, …) window at a random position of a square texture.

    For windows larger than the texture, it is continued by reflection, which leaves no seam.
    """
    side = len(texture)
    if height <= side and width <= side:
        top, left = rng.randrange(side - height + 1), rng.randrange(side - width + 1)
        return texture[top : top + height, left : left + width]
    top, left = rng.randrange(2 * side), rng.randrange(2 * side)
    rows = np.pad(np.arange(side), (0, side), mode="symmetric")
    return texture[
        np.take(rows, np.arange(top, top + height), mode="wrap")[:, None],
        np.take(rows, np.arange(left, left + width), mode="wrap")[None],
    ]


def random_texture_index(rng: Random) -> int:
    """Draw the index of one of the textures of a kind."""
    return rng.randrange(_NUM_TEXTURES)
