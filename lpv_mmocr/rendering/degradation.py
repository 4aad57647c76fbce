"""Image degradation by light, lenses, cameras and file formats."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from .backgrounds import TextureBank
from .config import RenderConfig


def add_light(
    rng: np.random.Generator, image: np.ndarray, config: RenderConfig, bank: TextureBank
) -> np.ndarray:
    """Add uneven light, shade, reflections and thin obstacles to a scene.

    Args:
        rng: Source of randomness.
        image: float32 (3, h, w), values about 0 to 255.
        config: Probabilities and strength of uneven lighting.
        bank: Textures.

    Returns:
        float32 (3, h, w), values about 0 to 255; not clipped.
    """
    height, width = size = image.shape[1:]
    if rng.random() < config.lighting_prob:
        corners = rng.uniform(-1, 1, (2, 3)).astype(np.float32)
        light = cv2.resize(corners, (width, height), interpolation=cv2.INTER_LINEAR)
        image = image * (1 + np.float32(rng.uniform(*config.lighting)) * light)
    if rng.random() < config.shade_prob:
        image = image * (1 - np.float32(rng.uniform(0.2, 0.55)) * _half_plane(rng, size))
    if rng.random() < config.reflection_prob:
        style = rng.random()
        if style < 0.4:
            glare = _spot(rng, size) * np.float32(rng.uniform(0.3, 0.85))
        elif style < 0.7:
            first, second = _half_plane(rng, size), _half_plane(rng, size)
            glare = first * second * np.float32(rng.uniform(0.1, 0.4))
        else:
            glare = bank.crop(rng, size, scene=True) * np.float32(rng.uniform(0.15, 0.4))
        image = image + (255 - image) * glare
    if rng.random() < config.occlusion_prob:
        wires = np.zeros(size, np.uint8)
        thick = max(1, int(height * rng.uniform(0.01, 0.06)))
        for _ in range(rng.integers(1, 3)):
            ends = rng.uniform(-0.2, 1.2, (2, 2)) * (width, height)
            cv2.line(wires, *ends.astype(int).tolist(), 255, thick, cv2.LINE_AA)
        tone = np.float32(rng.uniform(0, 255))
        image = image + (tone - image) * (wires * np.float32(1 / 255))
    return image


def _half_plane(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    height, width = size
    angle = rng.uniform(0, 2 * np.pi)
    cols = np.arange(width, dtype=np.float32)[None, :] - np.float32(rng.uniform(0, width))
    rows = np.arange(height, dtype=np.float32)[:, None] - np.float32(rng.uniform(0, height))
    edge = cols * np.float32(np.cos(angle)) + rows * np.float32(np.sin(angle))
    return np.clip(edge * np.float32(1 / rng.uniform(1, 8)) + 0.5, 0, 1)


def _spot(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    height, width = size
    cols = np.arange(width, dtype=np.float32)[None, :] - np.float32(rng.uniform(0, width))
    rows = np.arange(height, dtype=np.float32)[:, None] - np.float32(rng.uniform(0, height))
    reach = height * rng.uniform(0.2, 0.7)
    return np.exp(-(cols * cols + rows * rows) * np.float32(0.5 / reach**2))


def degrade(
    rng: np.random.Generator,
    planes: np.ndarray,
    text_height: float,
    final_height: float,
    config: RenderConfig,
    bank: TextureBank,
) -> np.ndarray:
    """Simulate photographing a scene: blur, resolution, exposure, sharpening, noise.

    Args:
        rng: Source of randomness.
        planes: float32 (3, h, w), values about 0 to 255.
        text_height: Height of the text in the scene, in pixels.
        final_height: Height of the text in the result, in pixels.
        config: Probabilities and strengths.
        bank: Source of noise.

    Returns:
        uint8 (h', w', 3), scaled by ``final_height / text_height``.
    """
    image = cv2.merge([planes[0], planes[1], planes[2]])
    if rng.random() < config.clean_prob:
        return _as_bytes(_resize(image, final_height / text_height))
    if rng.random() < config.blur_prob:
        low, high = config.blur
        sigma = text_height * (low + (high - low) * rng.random() ** 1.5)
        if sigma > 0.3:
            image = cv2.GaussianBlur(image, (0, 0), sigma)
    if rng.random() < config.motion_prob:
        length = round(text_height * rng.uniform(*config.motion))
        if length > 1:
            # Quantise the angle, so that kernels can be cached.
            kernel = _motion_kernel(length, int(rng.integers(24)))
            image = cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT)
    scale = final_height / text_height
    if rng.random() < config.lowres_prob:
        detour = min(rng.uniform(*config.lowres_height), final_height) / text_height
        image = _resize(image, detour)
        scale /= detour
    image = _resize(image, scale)
    if rng.random() < config.exposure_prob:
        image = _expose(rng, image)
    if rng.random() < config.sharpen_prob:
        soft = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.7, 1.6))
        image = image + (image - soft) * np.float32(rng.uniform(0.4, 1.6))
    if rng.random() < config.noise_prob:
        grain = bank.grain(rng, image.shape[:2])
        low, high = config.noise
        strength = low + (high - low) * rng.random() ** 2
        style = rng.random()
        if style < 0.35:  # Luminance noise only, as most cameras leave it.
            grain = cv2.cvtColor(np.ascontiguousarray(grain[:, :, 0]), cv2.COLOR_GRAY2RGB)
        elif style < 0.6:  # Coarse grain, as after compression or enlargement.
            grain = 2 * cv2.GaussianBlur(grain, (0, 0), 0.8)
        image = cv2.scaleAdd(np.ascontiguousarray(grain), float(strength), image)
    return _as_bytes(image)


def _as_bytes(image: np.ndarray) -> np.ndarray:
    """Round and saturate to uint8."""
    return cv2.convertScaleAbs(cv2.max(image, 0))


def _resize(image: np.ndarray, scale: float) -> np.ndarray:
    height, width = image.shape[:2]
    size = max(4, round(width * scale)), max(4, round(height * scale))
    if size == (width, height):
        return image
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return cv2.resize(image, size, interpolation=method)


@lru_cache(maxsize=1024)
def _motion_kernel(length: int, step: int) -> np.ndarray:
    side = length | 1
    kernel = np.zeros((side, side), np.float32)
    angle, middle = step * np.pi / 24, side // 2
    reach = np.array([np.cos(angle), np.sin(angle)]) * middle
    ends = (middle - reach).round().astype(int), (middle + reach).round().astype(int)
    cv2.line(kernel, ends[0].tolist(), ends[1].tolist(), 1.0, 1, cv2.LINE_AA)
    return kernel / kernel.sum()


def _expose(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    style = rng.random()
    if style < 0.35:  # Dim.
        image = image * np.float32(rng.uniform(0.35, 0.9))
    elif style < 0.6:  # Hazy: everything moves towards one tone.
        keep = np.float32(rng.uniform(0.4, 0.9))
        image = image * keep + (1 - keep) * np.float32(rng.uniform(40, 230))
    elif style < 0.8:  # Too bright or too hard.
        gain = np.float32(rng.uniform(1.05, 1.5))
        image = (image - 128) * gain + np.float32(128 + rng.uniform(-25, 45))
    else:
        gamma = np.float32(np.exp(rng.uniform(-0.6, 0.6)))
        image = 255 * cv2.pow(cv2.max(image, 0) * np.float32(1 / 255), float(gamma))
    if rng.random() < 0.5:  # Pale colours.
        keep = rng.uniform(0.2, 1.0)
        grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        image = cv2.addWeighted(image, keep, grey, 1 - keep, 0)
    if rng.random() < 0.4:  # Tint of the light.
        image = cv2.transform(image, np.diag(rng.uniform(0.85, 1.12, 3)))
    return image


def encode_jpeg(image: np.ndarray, quality: int) -> bytes:
    """Encode an RGB image as JPEG.

    Args:
        image: uint8 (h, w, 3), RGB.
        quality: 1 to 100.

    Returns:
        The bytes of a JPEG file.

    Raises:
        RuntimeError: If OpenCV cannot encode the image.
    """
    flags = [cv2.IMWRITE_JPEG_QUALITY, int(quality)]
    done, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), flags)
    if not done:
        raise RuntimeError(f"OpenCV could not encode an image of shape {image.shape}")
    return data.tobytes()


def decode_jpeg(data: bytes) -> np.ndarray:
    """Decode a JPEG file to uint8 (h, w, 3), RGB."""
    return cv2.cvtColor(
        cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB
    )
