"""Text effects: fill, outline, shadow, depth, emboss, glow."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from .backgrounds import TextureBank, ramp
from .colours import Palette, random_colour
from .config import RenderConfig


def paint_text(
    rng: np.random.Generator,
    image: np.ndarray,
    ink: np.ndarray,
    text_height: float,
    palette: Palette,
    config: RenderConfig,
    bank: TextureBank,
) -> np.ndarray:
    """Paint letters onto a background.

    Args:
        rng: Source of randomness.
        image: Background, float32 (3, h, w), values about 0 to 255.
        ink: Mask of all letters, uint8 (h, w).
        text_height: Height of the text in pixels; effect sizes scale with it.
        palette: Colours.
        config: Probabilities.
        bank: Textures.

    Returns:
        float32 (3, h, w).
    """
    cover = _as_cover(ink)
    if rng.random() < config.glow_prob:
        image = _glow(rng, image, cover, text_height, palette)
    if rng.random() < config.shadow_prob:
        image = _shadow(rng, image, cover, text_height)
    if rng.random() < config.extrude_prob:
        image = _extrude(rng, image, ink, text_height, palette)
    if rng.random() < config.outline_prob:
        width = max(1, round(text_height * rng.uniform(0.03, 0.09)))
        ring = _as_cover(cv2.dilate(ink, _disc(width)))
        image = _lay_over(image, ring, palette.beyond_text(rng))
    fill: np.ndarray = palette.text
    style = rng.random()
    if style < config.gradient_prob:
        fill = _gradient(rng, cover.shape, palette)
    elif style < config.gradient_prob + config.texture_prob:
        texture = bank.crop(rng, cover.shape) - np.float32(0.5)
        texture *= np.float32(rng.uniform(0.2, 0.6) * palette.contrast)
        fill = palette.text[:, None, None] + texture
    if rng.random() < config.emboss_prob:
        relief = _relief(rng, cover, text_height)
        fill = (fill[:, None, None] if fill.ndim == 1 else fill) + relief
    if rng.random() < config.blend_prob:
        cover = cover * np.float32(rng.uniform(0.65, 1.0))
    return _lay_over(image, cover, fill)


def hollow_out(ink: np.ndarray, text_height: float) -> np.ndarray:
    """Keep only the contours of letters.

    Args:
        ink: Mask of letters, uint8 (h, w).
        text_height: Height of the text in pixels.

    Returns:
        uint8 (h, w).
    """
    return cv2.subtract(cv2.dilate(ink, _disc(max(1, round(0.035 * text_height)))), ink)


def paint_plate(
    rng: np.random.Generator,
    image: np.ndarray,
    corners: np.ndarray,
    text_height: float,
    palette: Palette,
) -> np.ndarray:
    """Paint a sign plate or a frame around the text, or a line along it.

    Args:
        rng: Source of randomness.
        image: float32 (3, h, w).
        corners: Quadrilateral of the text in the image, float (4, 2).
        text_height: Height of the text in pixels.
        palette: Colours.

    Returns:
        float32 (3, h, w).
    """
    plate = np.rint(_enlarged(corners, text_height * rng.uniform(0.06, 0.2))).astype(np.int32)
    style = rng.random()
    if style < 0.5:
        body = np.zeros(image.shape[1:], np.uint8)
        cv2.fillConvexPoly(body, plate, 255, cv2.LINE_AA)
        outside = random_colour(rng, rng.uniform(0, 255), palette.grey_prob)
        return _lay_over(image, 1 - _as_cover(body), outside)
    thick = max(1, int(text_height * rng.uniform(0.03, 0.1)))
    lines = np.zeros(image.shape[1:], np.uint8)
    if style < 0.75:
        cv2.polylines(lines, [plate], True, 255, thick, cv2.LINE_AA)
    else:
        first = rng.integers(2) * 2
        ends = plate[first].tolist(), plate[first + 1].tolist()
        cv2.line(lines, *ends, 255, thick, cv2.LINE_AA)
    tone = palette.text if rng.random() < 0.7 else palette.beyond_text(rng)
    return _lay_over(image, _as_cover(lines), tone)


def _enlarged(corners: np.ndarray, margin: float) -> np.ndarray:
    """Move each corner of a quadrilateral outwards along both of its edges.

    Args:
        corners: float (4, 2), in order.
        margin: Distance along each edge, in pixels.

    Returns:
        float (4, 2).
    """
    enlarged = corners.astype(np.float64)
    for step in (-1, 1):
        edge = corners - np.roll(corners, step, axis=0)
        enlarged += margin * edge / np.maximum(np.linalg.norm(edge, axis=1, keepdims=True), 1e-6)
    return enlarged


def _as_cover(mask: np.ndarray) -> np.ndarray:
    """Convert a uint8 mask to float32 opacities."""
    return np.multiply(mask, np.float32(1 / 255), dtype=np.float32)


def _lay_over(image: np.ndarray, cover: np.ndarray, tone: np.ndarray) -> np.ndarray:
    if tone.ndim == 1:
        tone = tone[:, None, None]
    layer = tone - image
    layer *= cover
    layer += image
    return layer


@lru_cache(maxsize=16)
def _disc(radius: int) -> np.ndarray:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))


def _moved(mask: np.ndarray, dx: float, dy: float) -> np.ndarray:
    matrix = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    return cv2.warpAffine(mask, matrix, mask.shape[::-1])


def _glow(
    rng: np.random.Generator,
    image: np.ndarray,
    cover: np.ndarray,
    text_height: float,
    palette: Palette,
) -> np.ndarray:
    halo = cv2.GaussianBlur(cover, (0, 0), text_height * rng.uniform(0.08, 0.25))
    halo = np.minimum(halo * np.float32(rng.uniform(1.0, 2.0)), np.float32(0.9))
    shine = palette.text if rng.random() < 0.7 else random_colour(rng, rng.uniform(90, 220), 0.2)
    # A halo as bright as the letters would hide them.
    return _lay_over(image, halo * np.float32(rng.uniform(0.2, 0.55)), shine)


def _shadow(
    rng: np.random.Generator, image: np.ndarray, cover: np.ndarray, text_height: float
) -> np.ndarray:
    angle, reach = rng.uniform(0, 2 * np.pi), text_height * rng.uniform(0.03, 0.14)
    shade = _moved(cover, reach * np.cos(angle), reach * np.sin(angle))
    if rng.random() < 0.7:
        shade = cv2.GaussianBlur(shade, (0, 0), text_height * rng.uniform(0.02, 0.1))
    tone = np.zeros(3, np.float32) if rng.random() < 0.85 else np.full(3, 255, np.float32)
    return _lay_over(image, shade * np.float32(rng.uniform(0.3, 0.9)), tone)


def _extrude(
    rng: np.random.Generator,
    image: np.ndarray,
    ink: np.ndarray,
    text_height: float,
    palette: Palette,
) -> np.ndarray:
    steps = max(1, round(text_height * rng.uniform(0.05, 0.16)))
    angle = rng.uniform(0, 2 * np.pi)
    body = ink
    for step in range(1, steps + 1):
        body = cv2.max(body, _moved(ink, step * np.cos(angle), step * np.sin(angle)))
    side = palette.text * np.float32(rng.uniform(0.25, 0.7))
    if rng.random() < 0.3:
        side = palette.beyond_text(rng)
    return _lay_over(image, _as_cover(body), side)


def _gradient(rng: np.random.Generator, size: tuple[int, int], palette: Palette) -> np.ndarray:
    away = np.sign(palette.text.mean() - palette.background.mean()) or 1.0
    end = np.clip(palette.text - away * palette.contrast * rng.uniform(0.2, 0.5), 0, 255)
    if rng.random() < 0.5:
        end = random_colour(rng, float(end.mean()), 0.2)
    rise = ramp(size[0])[:, None] if rng.random() < 0.75 else ramp(size[1])
    rise = np.float32(0.5) + (rise if rng.random() < 0.5 else -rise)
    return palette.text[:, None, None] + (end - palette.text)[:, None, None] * rise


def _relief(rng: np.random.Generator, cover: np.ndarray, text_height: float) -> np.ndarray:
    """Return light and shade at the edges of raised or sunken letters."""
    soft = cv2.GaussianBlur(cover, (0, 0), max(0.6, text_height * rng.uniform(0.02, 0.06)))
    angle = rng.uniform(0, 2 * np.pi)
    slope = cv2.Sobel(soft, cv2.CV_32F, 1, 0) * np.cos(angle)
    slope += cv2.Sobel(soft, cv2.CV_32F, 0, 1) * np.sin(angle)
    return slope.astype(np.float32) * np.float32(rng.uniform(60, 160))
