"""Pictures in files of all kinds."""

from __future__ import annotations

import io

import cv2
import numpy as np
from apis.inference_cases import noise
from PIL import Image


def encode(picture: np.ndarray, suffix: str = ".png") -> bytes:
    return cv2.imencode(suffix, picture)[1].tobytes()


def saved(picture: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def smooth(height: int = 24, width: int = 70, channels: int = 3) -> np.ndarray:
    """Noise as smooth as photos are, so that a JPEG of it resembles it."""
    coarse = noise(height // 4, width // 4, channels)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def oriented(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(Image.fromarray(smooth()), "JPEG", exif=exif)


def pictures() -> dict[str, bytes]:
    colour, grey, rgba = smooth(), smooth(channels=0), smooth(channels=4)
    wide = np.random.default_rng(0).integers(0, 2**16, (20, 50, 3), np.uint16)
    return {
        "png": encode(colour),
        "jpeg": encode(colour, ".jpg"),
        "grey jpeg": encode(grey, ".jpg"),
        "grey": encode(grey),
        "alpha": encode(rgba),
        "grey alpha": saved(Image.fromarray(rgba).convert("LA"), "PNG"),
        "16 bits": encode(wide),
        "grey 16 bits": encode(wide[..., 0]),
        "grey 16 bits tiff": encode(wide[..., 0], ".tiff"),
        "palette": saved(Image.fromarray(colour).convert("P"), "PNG"),
        "palette, transparent": saved(Image.fromarray(colour).convert("P"), "PNG", transparency=3),
        "black and white": saved(Image.fromarray(colour).convert("1"), "PNG"),
        "gif": saved(Image.fromarray(colour), "GIF"),
        "webp": encode(colour, ".webp"),
        "bmp": encode(colour, ".bmp"),
        "1 x 1": encode(noise(1, 1)),
        "20 x 5000": encode(noise(20, 5000)),
        "5000 x 20": encode(noise(5000, 20)),
        **{f"orientation {number}": oriented(number) for number in range(1, 9)},
    }
