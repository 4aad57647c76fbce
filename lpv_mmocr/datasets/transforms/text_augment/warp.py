"""Warps that bend the text line: an arc, a thin-plate distortion, a horizontal stretch."""

from __future__ import annotations

import math
from random import Random

import cv2
import numpy as np

from .cache import cached_array
from .operations import operation

_ARC_RADIUS = (1.1, 0.95, 0.8)
_SHIFT_FRACTION = (0.2, 0.3, 0.4)

# Control points of the thin-plate splines, in fractions of width and height: four along the top
# edge, four along the bottom edge.
_CONTROL_POINTS = np.array(
    [(x, y) for y in (0.0, 1.0) for x in (0.0, 1 / 3, 2 / 3, 1.0)], dtype=np.float64
)


@cached_array
def pixel_grid(height: int, width: int) -> np.ndarray:
    """Return the x and y coordinates of every pixel, float32 (2, H, W)."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x, y]).astype(np.float32)


@cached_array
def spline_basis(height: int, width: int) -> np.ndarray:
    """Return the contribution of each control point to each pixel, float32 (8, H·W).

    A thin-plate spline is linear in the values at its control points. With the points fixed, the
    linear system is solved once per image size, and interpolating displacements (2, 8)
    becomes the matrix product ``displacements @ basis``.
    """
    extent = np.array([max(width - 1, 1), max(height - 1, 1)], dtype=np.float64)
    # In units of the height: isotropic, and well conditioned at any size.
    points = _CONTROL_POINTS * extent / extent[1]
    pixels = pixel_grid(height, width).reshape(2, -1).T / extent[1]

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        squared = ((a[:, None] - b[None]) ** 2).sum(axis=-1)
        return squared * np.log(np.maximum(squared, 1e-12))

    def affine(a: np.ndarray) -> np.ndarray:
        return np.concatenate([np.ones((len(a), 1)), a], axis=1)

    count = len(points)
    system = np.zeros((count + 3, count + 3))
    system[:count, :count] = kernel(points, points)
    system[:count, count:] = affine(points)
    system[count:, :count] = affine(points).T
    terms = np.concatenate([kernel(pixels, points), affine(pixels)], axis=1)
    return np.ascontiguousarray(np.linalg.solve(system, terms.T)[:count], dtype=np.float32)


def thin_plate_warp(img: np.ndarray, displacements: np.ndarray) -> np.ndarray:
    """Move the content at the eight control points by the displacements.

    Args:
        img: uint8 (H, W, 3).
        displacements: Pixels in x and y, (2, 8): four points along the top edge from left to
            right, then four along the bottom edge. Positive moves content right and down.

    Returns:
        The warped image, uint8 (H, W, 3), black where there is no content.
    """
    height, width = img.shape[:2]
    shift = displacements.astype(np.float32) @ spline_basis(height, width)
    source = pixel_grid(height, width) - shift.reshape(2, height, width)
    return cv2.remap(img, source[0], source[1], cv2.INTER_LINEAR)


@operation("warp")
def curve(img: np.ndarray, magnitude: int, rng: Random) -> np.ndarray:
    """Bend the line of text along an arc, upwards or downwards.

    The image becomes a sector of a ring: its top edge becomes an arc with a radius of 0.8 to
    1.2 image widths (in a frame that is twice as wide as high), its height the ring's thickness.
    """
    height, width = img.shape[:2]
    radius = _ARC_RADIUS[magnitude] + rng.uniform(0, 0.1)
    thickness = rng.uniform(0.4, 0.5)
    half_angle = math.asin(0.5 / radius)
    downwards = rng.random() < 0.5

    grid = pixel_grid(height, width)
    across = (grid[0] + 0.5) / width - 0.5
    below = radius - (grid[1] + 0.5) * (0.5 / height)
    distance = np.sqrt(across * across + below * below)
    angle = np.arctan2(across, below)
    source_x = (angle * (0.5 / half_angle) + 0.5) * width - 0.5
    source_y = (radius - distance) * (height / thickness) - 0.5
    if downwards:
        return cv2.flip(cv2.remap(cv2.flip(img, 0), source_x, source_y, cv2.INTER_LINEAR), 0)
    return cv2.remap(img, source_x, source_y, cv2.INTER_LINEAR)


@operation("warp")
def distort(img: np.ndarray, magnitude: int, rng: Random) -> np.ndarray:
    """Move eight points along the top and bottom edge inwards and sideways, independently."""
    height, width = img.shape[:2]
    fraction = _SHIFT_FRACTION[magnitude]
    x = _sideways(fraction * width / 3, rng) + _sideways(fraction * width / 3, rng)
    limit = fraction * height / 2
    y = [rng.uniform(0, limit) for _ in range(4)] + [-rng.uniform(0, limit) for _ in range(4)]
    return thin_plate_warp(img, np.array([x, y]))


@operation("warp")
def stretch(img: np.ndarray, magnitude: int, rng: Random) -> np.ndarray:
    """Widen some thirds of the image and narrow others; heights are unchanged."""
    x = _sideways(_SHIFT_FRACTION[magnitude] * img.shape[1] / 3, rng)
    return thin_plate_warp(img, np.array([x + x, [0.0] * 8]))


def _sideways(limit: float, rng: Random) -> list[float]:
    """Draw shifts for four points from left to right; the outer ones only move inwards."""
    inner = [rng.uniform(-limit, limit) for _ in range(2)]
    return [rng.uniform(0, limit), *inner, -rng.uniform(0, limit)]
