"""Fog, snow, frost on the lens, rain and the shadow of something outside the image."""

from __future__ import annotations

import math
from random import Random

import cv2
import numpy as np

from .cache import cached_array
from .fields import (
    frost_texture,
    plasma_texture,
    random_texture_index,
    random_window,
    uniform_field,
)
from .operations import operation

_FOG_DENSITY = (1.5, 2.0, 2.5)
_FOG_ROUGHNESS = (2.0, 2.0, 1.7)
# Mean and threshold of the flakes' normal field, streak length, weight of the image itself.
_SNOW = ((0.1, 0.5, 2.4, 0.8), (0.2, 0.5, 2.4, 0.7), (0.55, 0.9, 4.8, 0.7))
_SNOW_TEXTURE_SIDE = 256
_SNOW_DIRECTIONS = 7
# Weights of the image and of the frost.
_FROST = ((1.0, 0.16), (0.64, 0.36), (0.49, 0.49))
_RAIN_DROPS = (50, 70, 90)
_RAIN_AREA = 100 * 32
_RAIN_COLOUR = (200, 200, 200)
_SHADOW_OPACITY = (64, 96, 128)


@operation("weather")
def fog(img: np.ndarray, magnitude: int, rng: Random) -> np.ndarray:
    """Overlay a cloud of varying density, and lower the contrast."""
    height, width = img.shape[:2]
    density = _FOG_DENSITY[magnitude]
    texture = plasma_texture(_FOG_ROUGHNESS[magnitude], random_texture_index(rng))
    # The maximum brightness stays the same: fog replaces light rather than adding to it.
    brightest = max(int(img.max()), 1) / 255
    kept = brightest / (brightest + density)
    cloud = random_window(texture, height, width, rng)
    return cv2.addWeighted(img, kept, cloud, kept * density, 0.0)


@cached_array
def _snow_texture(magnitude: int, direction: int) -> np.ndarray:
    """Return falling flakes, uint8 (256, 256, 3), streaked along one of seven directions."""
    mean, threshold, streak, _ = _SNOW[magnitude]
    generator = np.random.Generator(np.random.PCG64([1225, magnitude, direction]))
    flakes = generator.normal(mean, 0.3, (_SNOW_TEXTURE_SIDE, _SNOW_TEXTURE_SIDE))
    flakes = np.where(flakes < threshold, 0, np.clip(flakes, 0, 1)).astype(np.float32)
    # From 45 degrees left of the vertical to 45 degrees right of it.
    angle = math.radians(45 + 90 * direction / (_SNOW_DIRECTIONS - 1))
    radius = math.ceil(2.5 * streak)
    kernel = np.zeros((2 * radius + 1, 2 * radius + 1), np.float32)
    for along in np.linspace(-radius, radius, 8 * radius + 1):
        place = radius - round(along * math.sin(angle)), radius + round(along * math.cos(angle))
        kernel[place] += math.exp(-0.5 * (along / streak) ** 2)
    streaks = cv2.filter2D(flakes, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT)
    return cv2.cvtColor(np.rint(streaks * 255).astype(np.uint8), cv2.COLOR_GRAY2BGR)


@operation("weather")
def snow(img: np.ndarray, magnitude: int, rng: Random) -> np.ndarray:
    """Whiten the image a little and add two layers of falling snow."""
    height, width = img.shape[:2]
    own_light = _SNOW[magnitude][3]
    grey = cv2.cvtColor(img, cv2.COLOR_BGR2GRAY)
    white = cv2.cvtColor(cv2.convertScaleAbs(grey, alpha=1.5, beta=127.5), cv2.COLOR_GRAY2BGR)
    whitened = cv2.addWeighted(img, own_light, cv2.max(img, white), 1 - own_light, 0.0)
    texture = _snow_texture(magnitude, rng.randrange(_SNOW_DIRECTIONS))
    near = random_window(texture, height, width, rng)
    far = random_window(texture, height, width, rng)
    # Flakes hide part of what is behind them: they attenuate the inverted image, so that bright
    # images keep some contrast; adding their light would saturate them.
    dark = cv2.bitwise_not(whitened)
    for layer in (near, far):
        dark = cv2.multiply(dark, cv2.bitwise_not(layer), scale=1 / 255)
    return cv2.bitwise_not(dark)


@operation("weather")
def frost(img: np.ndarray, magnitude: int, rng: Random) -> np.ndarray:
    """Overlay a pane with ice crystals."""
    own, ice = _FROST[magnitude]
    texture = frost_texture(random_texture_index(rng))
    return cv2.addWeighted(img, own, random_window(texture, *img.shape[:2], rng), ice, 0.0)


@operation("weather")
def rain(img: np.ndarray, magnitude: int, rng: Random) -> np.ndarray:
    """Draw light grey streaks of one slant, as many per area as 50 to 109 on 100 × 32 pixels."""
    height, width = img.shape[:2]
    drops = (_RAIN_DROPS[magnitude] + rng.randrange(20)) * height * width / _RAIN_AREA
    drops = max(round(drops), 1)
    slant = math.radians(rng.uniform(-60, 60))
    start_x, start_y, length = uniform_field((3, drops), rng) / np.float32(2**16)
    length = 5 + 5 * length
    segments = np.empty((drops, 2, 2), np.float32)
    segments[:, 0, 0] = start_x * width
    segments[:, 0, 1] = start_y * (height + 5) - 5
    segments[:, 1, 0] = segments[:, 0, 0] + length * math.sin(slant)
    segments[:, 1, 1] = segments[:, 0, 1] + length * math.cos(slant)
    return cv2.polylines(img.copy(), list(segments.astype(np.int32)), False, _RAIN_COLOUR)


@operation("weather")
def shadow(img: np.ndarray, magnitude: int, rng: Random) -> np.ndarray:
    """Darken a quadrilateral that reaches from the top edge to the bottom edge."""
    height, width = img.shape[:2]
    opacity = (_SHADOW_OPACITY[magnitude] + rng.randrange(32)) / 255
    left = [rng.randrange(max(width // 2, 1)) for _ in range(2)]
    right = [rng.randrange(width // 2, width) for _ in range(2)]
    outline = [(left[0], 0), (right[0], 0), (right[1], height - 1), (left[1], height - 1)]
    mask = cv2.fillConvexPoly(np.zeros((height, width), np.uint8), np.array(outline), 255)
    shadowed = img.copy()
    cv2.copyTo(cv2.convertScaleAbs(img, alpha=1 - opacity), mask, shadowed)
    return shadowed
