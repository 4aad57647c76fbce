"""Geometry of the text in the crop: size, slant, rotation, perspective, curve and margins."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .config import RenderConfig
from .text_layer import TextLayer

BORDER_POINTS = 17


@dataclass(frozen=True)
class Warp:
    """Mapping from the text canvas to the crop.

    Attributes:
        matrix: Homography, float64 (3, 3), from canvas (after bending) to crop.
        size: Height and width of the crop.
        radius: Signed radius of the arc in canvas pixels (positive: the middle is higher), or 0
            without an arc.
        centre: Canvas point about which the text is bent.
    """

    matrix: np.ndarray
    size: tuple[int, int]
    radius: float
    centre: tuple[float, float]

    def apply(self, mask: np.ndarray) -> np.ndarray:
        """Map a mask from the canvas to the crop.

        Args:
            mask: uint8 (h, w).

        Returns:
            uint8 of the crop's size.
        """
        height, width = self.size
        if self.radius == 0:
            return cv2.warpPerspective(mask, self.matrix, (width, height), flags=cv2.INTER_LINEAR)
        inverse = np.linalg.inv(self.matrix).astype(np.float32)
        cols = np.arange(width, dtype=np.float32)[None, :]
        rows = np.arange(height, dtype=np.float32)[:, None]
        depth = inverse[2, 0] * cols + inverse[2, 1] * rows + inverse[2, 2]
        x = (inverse[0, 0] * cols + inverse[0, 1] * rows + inverse[0, 2]) / depth
        y = (inverse[1, 0] * cols + inverse[1, 1] * rows + inverse[1, 2]) / depth
        x, y = _unbend(x, y, self.radius, self.centre)
        return cv2.remap(mask, x, y, cv2.INTER_LINEAR)

    def map_points(self, points: np.ndarray) -> np.ndarray:
        """Map points (n, 2), as x and y, from the canvas to the crop."""
        points = np.asarray(points, np.float64)
        if self.radius:
            points = _bend(points, self.radius, self.centre)
        return cv2.perspectiveTransform(points[None], self.matrix)[0]


def _bend(points: np.ndarray, radius: float, centre: tuple[float, float]) -> np.ndarray:
    """Move points (n, 2) of a straight line of text onto an arc."""
    angle = (points[:, 0] - centre[0]) / radius
    reach = radius - (points[:, 1] - centre[1])
    return np.stack(
        [centre[0] + reach * np.sin(angle), centre[1] + radius - reach * np.cos(angle)], axis=1
    )


def _unbend(
    x: np.ndarray, y: np.ndarray, radius: float, centre: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Invert :func:`_bend` on coordinate grids."""
    sign = np.float32(np.sign(radius))
    across = (x - np.float32(centre[0])) * sign
    along = (np.float32(centre[1] + radius) - y) * sign
    reach = np.sqrt(across * across + along * along)
    angle = np.arctan2(across, along)
    return (
        np.float32(centre[0]) + np.float32(radius) * angle,
        np.float32(centre[1] + radius) - reach * sign,
    )


def place_text(
    rng: np.random.Generator,
    layer: TextLayer,
    text_height: float,
    characters: int,
    config: RenderConfig,
) -> Warp:
    """Draw the geometry of an image.

    Args:
        rng: Source of randomness.
        layer: The word on its canvas.
        text_height: Height of the upright word, in pixels.
        characters: Number of characters.
        config: Ranges and probabilities.

    Returns:
        The mapping to a crop that contains the whole word, unless a sliver is cut off on purpose.
    """
    left, top, right, bottom = layer.box
    centre = (left + right) / 2, (top + bottom) / 2
    width, height = right - left, bottom - top
    scale = text_height / height
    stretch = log_uniform(rng, config.stretch)
    radius = 0.0
    if characters > 2 and rng.random() < config.curve_prob:
        angle = np.deg2rad(rng.uniform(*config.curve_angle)) * (1 if rng.random() < 0.7 else -1)
        radius = width / angle
        if abs(radius) < 1.5 * height:  # Letters would run into each other.
            radius = float(np.sign(radius)) * 1.5 * height
    degrees = min(max(config.rotation_std * rng.standard_normal(), -12.0), 12.0)
    if rng.random() < config.steep_prob:
        degrees = rng.uniform(-config.rotation_max, config.rotation_max)
    degrees = min(max(degrees, -config.rotation_max), config.rotation_max)
    slant = rng.uniform(-config.shear, config.shear) if rng.random() < 0.5 else 0.0
    turn = np.deg2rad(degrees)
    cos, sin = np.cos(turn) * scale, np.sin(turn) * scale
    # Slant and stretch, then rotate and scale, about the middle of the word.
    linear = np.array([[cos * stretch, cos * slant - sin], [sin * stretch, sin * slant + cos]])
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = -linear @ centre
    points = _bend(_border(layer.box), radius, centre) if radius else corners_of(layer.box)
    if rng.random() < config.perspective_prob:
        matrix = _perspective(rng, matrix, points, text_height, config.perspective)
    points = cv2.perspectiveTransform(points[None], matrix)[0]
    near, far = points.min(axis=0), points.max(axis=0)
    # Tight crops are the rule in word datasets.
    tightness = rng.uniform(0.1, 1.0)
    margins = [rng.uniform(*span) * tightness for span in (config.margin_x, config.margin_y) * 2]
    if rng.random() < config.cut_prob:
        margins[rng.integers(4)] = -rng.uniform(0.01, 0.06)
    near = near - np.array(margins[:2]) * text_height
    size = np.ceil(far + np.array(margins[2:]) * text_height - near).astype(int)
    shift = np.eye(3)
    shift[:2, 2] = -near
    matrix = shift @ matrix
    return Warp(matrix, (max(int(size[1]), 4), max(int(size[0]), 4)), radius, centre)


def corners_of(box: tuple[int, int, int, int]) -> np.ndarray:
    """Return the corners of a box, clockwise from the top left, float64 (4, 2)."""
    left, top, right, bottom = box
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float64)


def _border(box: tuple[int, int, int, int]) -> np.ndarray:
    """Return points along the edges of a box, float64 (4 * BORDER_POINTS, 2)."""
    left, top, right, bottom = box
    steps = np.linspace(0, 1, BORDER_POINTS)
    x = left + steps * (right - left)
    y = top + steps * (bottom - top)
    one = np.ones(BORDER_POINTS)
    return np.concatenate(
        [
            np.stack([x, top * one], 1),
            np.stack([x, bottom * one], 1),
            np.stack([left * one, y], 1),
            np.stack([right * one, y], 1),
        ]
    )


def log_uniform(rng: np.random.Generator, span: tuple[float, float]) -> float:
    """Draw from a range log-uniformly."""
    return float(span[0] * (span[1] / span[0]) ** rng.random())


def _perspective(
    rng: np.random.Generator,
    matrix: np.ndarray,
    points: np.ndarray,
    text_height: float,
    strength: float,
) -> np.ndarray:
    """Add a random perspective.

    Corners move by up to ``strength`` times the text height, or less if the word would fold over.
    """
    mapped = cv2.perspectiveTransform(points[None], matrix)[0]
    (x0, y0), (x1, y1) = mapped.min(axis=0), mapped.max(axis=0)
    corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float32)
    shift = rng.uniform(-1, 1, (4, 2)) * (1.5, 0.6)
    if rng.random() < 0.6:  # Seen from one side: that side is taller.
        taller = rng.uniform(-1, 1)
        shift[:, 1] += np.array([-1, 1, -1, 1]) * taller
    shift *= strength * 0.6 * text_height
    # Otherwise a narrow letter would fold over or be mirrored.
    limit = (x1 - x0) * np.array([0.3, 0.45])
    shift = np.clip(shift, -limit, limit)
    for _ in range(20):
        if _is_convex(corners + shift):
            break
        shift *= 0.7
    moved = corners + shift.astype(np.float32)
    return cv2.getPerspectiveTransform(corners, moved) @ matrix


def _is_convex(corners: np.ndarray) -> bool:
    """Return whether a quadrilateral (4, 2), clockwise in an image, is convex and not mirrored."""
    sides = np.roll(corners, -1, axis=0) - corners
    following = np.roll(sides, -1, axis=0)
    return bool((sides[:, 0] * following[:, 1] > sides[:, 1] * following[:, 0]).all())
