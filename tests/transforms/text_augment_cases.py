"""Images and conversions for the tests of text augmentation."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont


def make_word():
    """Return a coloured word on a coloured gradient, shape (32, 100, 3), BGR."""
    ramp = np.linspace(120, 215, 100)[None, :, None] * np.array([0.8, 0.95, 1.0])
    image = Image.fromarray(np.repeat(ramp, 32, axis=0).astype(np.uint8))
    font = ImageFont.load_default(24)
    ImageDraw.Draw(image).text((8, 1), "Harbour", font=font, fill=(90, 20, 30))
    return np.asarray(image)


def make_scatter():
    """Return independent random values of shape (40, 60, 3)."""
    return np.random.default_rng(3).integers(0, 256, (40, 60, 3), dtype=np.uint8)


def flat(value, height=200, width=300):
    return np.full((height, width, 3), value, np.uint8)


def as_pil(img):
    return Image.fromarray(np.ascontiguousarray(img[..., ::-1]))


def as_bgr(image):
    return np.asarray(image)[..., ::-1]
