"""Images encoded in many file formats."""

from __future__ import annotations

import io

import cv2
import numpy as np
from apis.inference_cases import noise
from PIL import Image, features


def encode(image: np.ndarray, suffix: str = ".png") -> bytes:
    return cv2.imencode(suffix, image)[1].tobytes()


def saved(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def smooth(height: int = 24, width: int = 70, channels: int = 3) -> np.ndarray:
    """Return noise as smooth as photos, so that a JPEG of it resembles it."""
    coarse = noise(height // 4, width // 4, channels)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def oriented(orientation: int) -> bytes:
    return saved(Image.fromarray(smooth()), "JPEG", exif=tag(orientation))


def tag(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


XMP = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""
xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="3"/></rdf:RDF></x:xmpmeta>"""


def avif(colour: np.ndarray) -> dict[str, bytes]:
    image = Image.fromarray(colour)
    turned = saved(image, "AVIF", quality=100, exif=tag(3))
    # Major brand of files that hold more than one kind of image.
    brand = turned[:8] + b"mif1" + turned[12:]
    return {
        "avif": saved(image, "AVIF", quality=100),
        "avif, upside down": turned,
        "avif of another major brand, upside down": brand,
    }


def netpbm(white: int, channels: int) -> bytes:
    """Return a PGM or PPM file with a maximum value other than 255."""
    values = smooth().astype(int)[..., :channels] * white // 255
    kind = b"P5" if channels == 1 else b"P6"
    header = b"%s %d %d %d\n" % (kind, *values.shape[1::-1], white)
    return header + values.astype(">u2" if white > 255 else "u1").tobytes()


def images() -> dict[str, bytes]:
    colour, grey, rgba = smooth(), smooth(channels=0), smooth(channels=4)
    wide = np.random.default_rng(0).integers(0, 2**16, (20, 50, 3), np.uint16)
    return {
        "png": encode(colour),
        "jpeg": encode(colour, ".jpg"),
        "grey jpeg": encode(grey, ".jpg"),
        "grey": encode(grey),
        "alpha": encode(rgba),
        "grey alpha": saved(Image.fromarray(rgba).convert("LA"), "PNG"),
        "alpha tiff": saved(Image.fromarray(rgba), "TIFF"),
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
        "jpeg, xmp says upside down": saved(Image.fromarray(colour), "JPEG", xmp=XMP),
        "webp, upside down": saved(Image.fromarray(colour), "WEBP", lossless=True, exif=tag(3)),
        "pgm up to 100": netpbm(100, 1),
        "pgm up to 1023": netpbm(1023, 1),
        "ppm up to 4095": netpbm(4095, 3),
        "dark pgm of 16 bits": b"P5 3 2 65535\n" + np.arange(200, 206, dtype=">u2").tobytes(),
        **(avif(colour) if features.check("avif") else {}),
        **{f"orientation {number}": oriented(number) for number in range(1, 9)},
    }
