"""Blur of the lens, of motion, of zooming, and of frosted glass."""

from __future__ import annotations

import math
from random import Random

import cv2
import numpy as np

from .cache import cached_array
from .fields import uniform_field
from .operations import operation

_GAUSSIAN_SIGMA = (0.5, 1.0, 1.7)
_DEFOCUS_RADIUS = (1.5, 2.25, 3.0)
_MOTION_SIGMA = (1.4, 2.0, 2.6)
# Standard deviation of the blur, and number of times that pixels are replaced by neighbours.
_GLASS = ((0.6, 1), (0.9, 1), (0.8, 2))
_ZOOM_FACTOR = (1.10, 1.15, 1.20)

# For kernels larger than this, OpenCV switches to a far slower Fourier transform.
_KERNEL_RADIUS = 5


@operation("blur")
def gaussian_blur(img: np.ndarray, magnitude: int, rng: Random) -> np.ndarray:
    """Blur with a Gaussian of standard deviation 0.5, 1 or 1.7 pixels."""
    sigma = _GAUSSIAN_SIGMA[magnitude]
    size = 2 * math.ceil(2 * sigma) + 1
    return cv2.GaussianBlur(img, (size, size), sigma)


@cached_array
def disk_kernel(radius: float) -> np.ndarray:
    """Return a disk whose rim is smoothed over a pixel, square, of odd size, float32, sum 1."""
    reach = math.ceil(radius)
    line = np.arange(-reach, reach + 1)
    distance = np.hypot(line[:, None], line[None])
    kernel = np.clip(radius + 0.5 - distance, 0, 1)
    return (kernel / kernel.sum()).astype(np.float32)


@operation("blur")
def defocus_blur(img: np.ndarray, magnitude: int, rng: Random) -> np.ndarray:
    """Spread every point over a disk of radius 1.5, 2.25 or 3 pixels."""
    return cv2.filter2D(img, -1, disk_kernel(_DEFOCUS_RADIUS[magnitude]))


@cached_array
def motion_kernel(sigma: float, degrees: int) -> np.ndarray:
    """Return a Gaussian along a line through the centre, float32 (11, 11), sum 1.

    Args:
        sigma: Standard deviation along the line in pixels.
        degrees: Direction of the line, anticlockwise from the horizontal.
    """
    size = 2 * _KERNEL_RADIUS + 1
    kernel = np.zeros((size, size), np.float64)
    along = np.linspace(-_KERNEL_RADIUS + 0.5, _KERNEL_RADIUS - 0.5, 181)
    weight = np.exp(-0.5 * (along / sigma) ** 2)
    x = _KERNEL_RADIUS + along * math.cos(math.radians(degrees))
    y = _KERNEL_RADIUS - along * math.sin(math.radians(degrees))
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    # Every sample is distributed bilinearly over its four pixels.
    for dx, share_x in ((0, 1 - (x - left)), (1, x - left)):
        for dy, share_y in ((0, 1 - (y - top)), (1, y - top)):
            np.add.at(kernel, (top + dy, left + dx), weight * share_x * share_y)
    return (kernel / kernel.sum()).astype(np.float32)


@operation("blur")
def motion_blur(img: np.ndarray, magnitude: int, rng: Random) -> np.ndarray:
    """Smear along a line within 45 degrees of the horizontal.

    Two passes with the standard deviation divided by √2 equal one pass with the full standard
    deviation, and keep the kernel small.
    """
    kernel = motion_kernel(_MOTION_SIGMA[magnitude] / math.sqrt(2), rng.randint(-45, 45))
    return cv2.filter2D(cv2.filter2D(img, -1, kernel), -1, kernel)


@cached_array
def _interior(height: int, width: int) -> np.ndarray:
    """Return 1 for pixels with eight neighbours and 0 on the border, int64 (H·W,)."""
    interior = np.zeros((height, width), np.int64)
    interior[1:-1, 1:-1] = 1
    return interior.ravel()


@cached_array
def _neighbour_offsets(width: int) -> np.ndarray:
    """Return the offsets of the 3 × 3 neighbours in a flattened image, int64 (9,)."""
    return np.array([dy * width + dx for dy in (-1, 0, 1) for dx in (-1, 0, 1)])


@operation("blur")
def glass_blur(img: np.ndarray, magnitude: int, rng: Random) -> np.ndarray:
    """Blur a little, replace pixels by random neighbours once or twice, blur again."""
    height, width = img.shape[:2]
    sigma, rounds = _GLASS[magnitude]
    pixels = cv2.GaussianBlur(img, (5, 5), sigma).reshape(-1, 3)
    own_place = np.arange(height * width)
    for _ in range(rounds):
        choice = uniform_field((height * width,), rng) % 9
        offset = _neighbour_offsets(width).take(choice) * _interior(height, width)
        pixels = pixels.take(own_place + offset, axis=0)
    return cv2.GaussianBlur(pixels.reshape(img.shape), (5, 5), sigma)


@operation("blur")
def zoom_blur(img: np.ndarray, magnitude: int, rng: Random) -> np.ndarray:
    """Average sixteen images, from the original to one zoomed in by 10, 15 or 20 %.

    The zoom factors form a geometric series, so that four averages of two images suffice: after
    step k the image is the mean over ``base ** 0 … base ** (2 ** k - 1)``.
    """
    height, width = img.shape[:2]
    base = _ZOOM_FACTOR[magnitude] ** (1 / 15)
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    for step in range(4):
        inverse = base ** -(2**step)
        shift = (1 - inverse) * centre
        matrix = np.array([[inverse, 0, shift[0]], [0, inverse, shift[1]]])
        zoomed = cv2.warpAffine(
            img, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE
        )
        img = cv2.addWeighted(img, 0.5, zoomed, 0.5, 0.0)
    return img
