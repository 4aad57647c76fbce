"""Visibility check of the label in a rendered image, before JPEG compression."""

from __future__ import annotations

import cv2
import numpy as np

MIN_LIKENESS = 0.45
MIN_VISIBLE_SHARE = 0.85


def text_visibility(
    image: np.ndarray, mask: np.ndarray, cells: int
) -> tuple[np.ndarray, np.ndarray]:
    """Measure how well letters stand out, piece by piece along the word.

    For each piece, the letters and their near surroundings are compared in the combination of the
    three channels that separates them best over the whole word. Contrast is what a faint word
    lacks; likeness (the correlation between image and letter shapes) is what blur, noise and
    clutter reduce.

    Args:
        image: uint8 (h, w, 3).
        mask: Ink of the word in this image, uint8 (h, w).
        cells: Number of pieces, from left to right.

    Returns:
        Contrast in grey levels and likeness (0 to 1), float (k,) each, of the k pieces that
        contain ink and surroundings; a single 0 each if there are none, or if the word does not
        differ from its surroundings.
    """
    height, width = mask.shape
    cells = max(1, min(cells, width // 2))
    reach = max(1, height // 8)
    near = cv2.dilate(mask, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
    around = cv2.bitwise_and(cv2.compare(near, 32, cv2.CMP_GT), cv2.compare(mask, 32, cv2.CMP_LE))
    inside = cv2.mean(image, mask=cv2.compare(mask, 127, cv2.CMP_GT))
    outside = cv2.mean(image, mask=around)
    direction = np.subtract(inside, outside)[:3]
    length = float(np.linalg.norm(direction))
    if length < 1:
        return np.zeros(1), np.zeros(1)
    maps = np.empty((5, height, width), np.float32)
    weight, ink, tone, square, product = maps
    np.greater(near, 32, out=weight)
    np.multiply(mask, np.float32(1 / 255), out=ink)
    cv2.transform(image.astype(np.float32), direction[None] / length, dst=tone)
    tone *= weight
    np.multiply(tone, tone, out=square)
    np.multiply(tone, ink, out=product)
    starts = np.arange(cells) * width // cells
    sums = np.add.reduceat(maps.sum(axis=1, dtype=np.float64), starts, axis=1)
    held = (sums[1] > 1) & (sums[0] - sums[1] > 1)
    if not held.any():
        return np.zeros(1), np.zeros(1)
    count, strokes, tones, squares, both = sums[:, held]
    contrast = both / strokes - (tones - both) / (count - strokes)
    variance = squares / count - (tones / count) ** 2
    share = strokes / count  # Ink is nearly 0 or 1, so its variance follows from its mean.
    covariance = both / count - tones / count * share
    likeness = covariance / np.sqrt(np.maximum(variance * share * (1 - share), 1e-6))
    # Scale the Euclidean length over three channels to the grey levels of one.
    return np.abs(contrast) / np.sqrt(3), np.abs(likeness)


def is_visible(image: np.ndarray, mask: np.ndarray, characters: int, min_contrast: float) -> bool:
    """Return whether nearly all of a word stands out from its surroundings.

    Args:
        image: uint8 (h, w, 3).
        mask: Ink of the word, uint8 (h, w).
        characters: Number of characters.
        min_contrast: Required contrast, in grey levels.

    Returns:
        True if at least 85 % of the pieces of the word reach the required contrast and likeness,
        and none falls below half of either.
    """
    contrast, likeness = text_visibility(image, mask, characters)
    quality = np.minimum(contrast / min_contrast, likeness / MIN_LIKENESS)
    return bool((quality >= 1).mean() >= MIN_VISIBLE_SHARE and quality.min() >= 0.5)
