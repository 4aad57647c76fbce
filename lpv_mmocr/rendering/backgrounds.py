"""Procedural textures, and backgrounds made from them."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np

from .colours import Palette
from .config import RenderConfig

TEXTURE_SIZE = (192, 640)
NOISE_SIZE = (256, 1024)
VARIANTS = 6
BANK_SEED = 20230515


def _plasma(rng: np.random.Generator, size: tuple[int, int], roughness: float = 0.6) -> np.ndarray:
    """Return fractal noise: the sum of upsampled random grids of increasing resolution."""
    height, width = size
    total = np.zeros(size, np.float32)
    strength, cells = 1.0, 2
    while cells <= height // 2:
        grid = rng.standard_normal((cells + 1, cells * width // height + 2), np.float32)
        total += strength * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
        strength *= roughness
        cells *= 2
    return total


def _cloud(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    return _plasma(rng, size, rng.uniform(0.35, 0.6))


def _plaster(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    grain = rng.standard_normal(size, np.float32)
    return cv2.GaussianBlur(grain, (0, 0), rng.uniform(0.6, 2.0)) + 0.25 * _plasma(rng, size)


def _wood(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    rows = np.arange(size[0], dtype=np.float32)[:, None]
    bend = 5 * cv2.GaussianBlur(_plasma(rng, size, 0.45), (0, 0), 6, sigmaY=1)
    fibres = cv2.GaussianBlur(rng.standard_normal(size, np.float32), (0, 0), 14, sigmaY=0.7)
    return np.sin(rows / rng.uniform(2, 5) + bend) + 6 * fibres


def _brick(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    height, width = size
    tall, wide = int(rng.integers(14, 34)), int(rng.integers(30, 80))
    joint = int(rng.integers(1, 4))
    wall = np.full(size, rng.choice([-2.0, 2.0]), np.float32)
    shift = rng.integers(2) * wide // 2
    for row, top in enumerate(range(0, height, tall)):
        for left in range(-(row % 2) * shift - wide, width, wide):
            area = wall[top : top + tall - joint, max(left, 0) : max(left + wide - joint, 0)]
            area[:] = rng.normal(0, 0.6)
    return cv2.GaussianBlur(wall, (0, 0), 0.8) + 0.3 * rng.standard_normal(size, np.float32)


def _stripes(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    rows, cols = np.mgrid[: size[0], : size[1]].astype(np.float32)
    angle = rng.choice([0.0, np.pi / 2, rng.uniform(0, np.pi)])
    wave = np.sin((rows * np.sin(angle) + cols * np.cos(angle)) / rng.uniform(1.5, 9))
    return np.tanh(wave * rng.uniform(0.7, 4)) + 0.2 * _plasma(rng, size)


def _metal(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    streaks = cv2.GaussianBlur(rng.standard_normal(size, np.float32), (0, 0), 40, sigmaY=0.6)
    return 8 * streaks + _plasma(rng, size, 0.3)


def _weave(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    rows, cols = np.mgrid[: size[0], : size[1]].astype(np.float32)
    period = rng.uniform(1.2, 3.5)
    grain = 0.4 * rng.standard_normal(size, np.float32)
    return np.sin(rows / period) * np.sin(cols / period) + grain


def _dots(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    rows, cols = np.mgrid[: size[0], : size[1]].astype(np.float32)
    period = rng.uniform(2.0, 6)
    tone = _plasma(rng, size, 0.4)
    return np.tanh(4 * (np.cos(rows / period) + np.cos(cols / period) - tone))


def _marble(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    return -np.abs(_plasma(rng, size, 0.55)) + 0.3 * np.abs(_plasma(rng, size))


def _clutter(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Return overlapping shapes in and out of focus, as behind signs in photographs."""
    height, width = size
    scene = cv2.normalize(_plasma(rng, size, 0.5), None, 40, 215, cv2.NORM_MINMAX)
    for sharp in (rng.uniform(2, 5), rng.uniform(0.5, 1.5)):
        for _ in range(rng.integers(14, 40)):
            centre = rng.uniform((0, 0), (width, height))
            tone = float(rng.uniform(0, 255))
            extent = rng.uniform(6, 70, 2)
            if rng.random() < 0.4:
                axes = tuple(int(value) for value in extent)
                place = tuple(int(value) for value in centre)
                cv2.ellipse(scene, place, axes, float(rng.uniform(0, 180)), 0, 360, tone, -1)
            elif rng.random() < 0.7:
                box = cv2.boxPoints(
                    (tuple(map(float, centre)), tuple(map(float, extent)), float(rng.normal(0, 20)))
                )
                cv2.fillPoly(scene, [box.astype(np.int32)], tone)
            else:
                end = centre + rng.normal(0, 120, 2)
                ends = centre.astype(int).tolist(), end.astype(int).tolist()
                cv2.line(scene, *ends, tone, int(rng.integers(1, 9)))
        scene = cv2.GaussianBlur(scene, (0, 0), sharp)
    return scene + 4 * rng.standard_normal(size, np.float32)


def _foliage(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    height, width = size
    scene = np.zeros(size, np.float32)
    for _ in range(1500):
        place = int(rng.integers(width)), int(rng.integers(height))
        axes = int(rng.integers(2, 10)), int(rng.integers(1, 5))
        tone = float(rng.normal(0, 1))
        cv2.ellipse(scene, place, axes, float(rng.uniform(0, 180)), 0, 360, tone, -1)
    return cv2.GaussianBlur(scene, (0, 0), rng.uniform(0.6, 1.5))


SURFACES: tuple[Callable[..., np.ndarray], ...] = (
    _cloud, _plaster, _wood, _brick, _stripes, _metal, _weave, _dots, _marble,
)  # fmt: skip
SCENES: tuple[Callable[..., np.ndarray], ...] = (_clutter, _clutter, _clutter, _foliage)


class TextureBank:
    """Grey textures, generated once per process from a fixed seed."""

    def __init__(self) -> None:
        rng = np.random.default_rng(BANK_SEED)
        self.surfaces = [_finish(make(rng, TEXTURE_SIZE)) for make in SURFACES * VARIANTS]
        self.scenes = [_finish(make(rng, TEXTURE_SIZE)) for make in SCENES * VARIANTS]
        self.noise = rng.standard_normal((*NOISE_SIZE, 3), np.float32)

    def crop(
        self, rng: np.random.Generator, size: tuple[int, int], *, scene: bool = False
    ) -> np.ndarray:
        """Crop a random piece at a random scale, sometimes mirrored.

        Args:
            rng: Source of randomness.
            size: Height and width of the result.
            scene: Whether to crop from cluttered scenes instead of surfaces.

        Returns:
            float32 (h, w), values 0 to 1.
        """
        textures = self.scenes if scene else self.surfaces
        texture = textures[rng.integers(len(textures))]
        height, width = size
        scale = np.exp(rng.uniform(-0.9, 0.9))
        tall = min(TEXTURE_SIZE[0], max(8, int(height * scale)))
        wide = min(TEXTURE_SIZE[1], max(8, int(width * scale)))
        top = rng.integers(TEXTURE_SIZE[0] - tall + 1)
        left = rng.integers(TEXTURE_SIZE[1] - wide + 1)
        piece = texture[top : top + tall, left : left + wide]
        if rng.random() < 0.5:
            piece = piece[:, ::-1]
        method = cv2.INTER_AREA if tall > height else cv2.INTER_LINEAR
        piece = cv2.resize(np.ascontiguousarray(piece), (width, height), interpolation=method)
        return np.multiply(piece, np.float32(1 / 255), dtype=np.float32)

    def grain(self, rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
        """Crop a piece of white noise, float32 (h, w, 3), standard deviation 1.

        Drawing millions of fresh normal numbers would take longer than everything else.
        """
        height, width = map(min, size, NOISE_SIZE)
        top = rng.integers(NOISE_SIZE[0] - height + 1)
        left = rng.integers(NOISE_SIZE[1] - width + 1)
        piece = self.noise[top : top + height, left : left + width]
        if (height, width) != size:
            piece = np.tile(piece, (-(-size[0] // height), -(-size[1] // width), 1))
            piece = piece[: size[0], : size[1]]
        return piece


def _finish(texture: np.ndarray) -> np.ndarray:
    low, high = np.percentile(texture, (0.5, 99.5))
    return np.clip((texture - low) * (255 / (high - low + 1e-6)), 0, 255).astype(np.uint8)


@lru_cache(maxsize=1)
def texture_bank() -> TextureBank:
    """Return the texture bank of this process."""
    return TextureBank()


def make_background(
    rng: np.random.Generator,
    size: tuple[int, int],
    palette: Palette,
    config: RenderConfig,
    bank: TextureBank,
) -> np.ndarray:
    """Paint the background of an image.

    Args:
        rng: Source of randomness.
        size: Height and width.
        palette: Colours of this image.
        config: Probabilities of plain and cluttered backgrounds.
        bank: Textures.

    Returns:
        float32 (3, h, w), values about 0 to 255; planar, because NumPy is several times faster
        on planes than on interleaved colours.
    """
    kind = rng.random()
    base = palette.background[:, None, None]
    height, width = size
    if kind < config.plain_prob:
        image = np.empty((3, height, width), np.float32)
        image[:] = base
        if rng.random() < 0.5:
            image += ramp(width) * np.float32(16 * rng.standard_normal())
            image += ramp(height)[:, None] * np.float32(16 * rng.standard_normal())
        return image
    scene = kind < config.plain_prob + config.photo_prob
    texture = bank.crop(rng, size, scene=scene)
    reach = palette.texture_reach * (1.0 if scene else 0.8) * rng.uniform(0.3, 1.0)
    other = palette.near_background(rng, reach)[:, None, None]
    image = base + (other - base) * texture
    if scene and rng.random() < 0.6:
        second = bank.crop(rng, size, scene=True) * np.float32(rng.uniform(0.2, 0.7))
        third = palette.near_background(rng, reach)[:, None, None]
        image += (third - image) * second
    return image


@lru_cache(maxsize=2048)
def ramp(length: int) -> np.ndarray:
    """Return a linear ramp from -0.5 to 0.5, float32 (length,)."""
    values = np.linspace(-0.5, 0.5, length, dtype=np.float32)
    values.flags.writeable = False
    return values
