"""Decoding of stored images."""

from __future__ import annotations

import math
import re
from importlib.util import find_spec

import cv2
import numpy as np
from PIL import Image

import lpv_onnx
from lpv_onnx.image_loading import MAX_PIXELS

from ..image_header import (
    PNG_SIGNATURE,
    is_tiff_with_alpha,
    is_truncated_jpeg,
    needs_exif_rotation,
    stated_size,
)

# Orientation tags are ignored, as Pillow ignores them in the released code: word crops are stored
# upright, and a tag left over from the full photo would turn them.
_AS_STORED = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
_GAP = rb"(?:\s|#[^\n]*\n)+"
_NETPBM_WHITE = re.compile(rb"P[2356]" + 2 * (_GAP + rb"\d+") + _GAP + rb"(\d+)")
_PILLOW_HAS_AVIF = find_spec("PIL._avif") is not None
_OPENCV_MAX_PIXELS = 2**30
"""The limit of OpenCV."""


def decode_image(
    encoded: bytes, *, follow_exif: bool = False, max_pixels: int = MAX_PIXELS
) -> np.ndarray:
    """Decode an image with OpenCV, or with Pillow if OpenCV cannot read or misreads it.

    Grey and palette images are converted to colour, an alpha channel is dropped (not blended), and
    16-bit values keep their upper 8 bits.

    Args:
        encoded: Bytes of the file.
        follow_exif: Whether to follow the EXIF orientation; Pillow, which reads what OpenCV cannot,
            always does.
        max_pixels: Maximum number of pixels. A small file may announce an image of gigabytes.

    Returns:
        The image in BGR order, uint8, shape (height, width, 3).

    Raises:
        ValueError: If the bytes are empty, cannot be decoded, are a JPEG that was cut short
            (whose missing part OpenCV would fill with grey), or have too many pixels.
    """
    if not encoded:
        raise ValueError("its image is empty")
    if is_truncated_jpeg(encoded):
        raise ValueError(f"its image ({len(encoded)} bytes) is a JPEG that was cut short")
    size = stated_size(encoded)
    if size is not None and math.prod(size) > max_pixels:
        raise ValueError(
            f"its image ({len(encoded)} bytes) cannot be decoded: it has more than "
            f"{max_pixels / 1e6:.0f} million pixels"
        )
    try:
        if _is_misread(encoded, follow_exif):
            return load_by_pillow(encoded)
        flags = cv2.IMREAD_COLOR if follow_exif else _AS_STORED
        image = cv2.imdecode(np.frombuffer(encoded, np.uint8), flags)
        if image is None:  # Pillow reads more formats, and reports what is wrong
            return load_by_pillow(encoded)
    except (cv2.error, lpv_onnx.ImageError) as error:
        raise ValueError(f"its image ({len(encoded)} bytes) cannot be decoded: {error}") from error
    return image


def _is_misread(encoded: bytes, follow_exif: bool) -> bool:
    """Return whether OpenCV would decode a file to the wrong image."""
    if encoded.startswith(b"P"):  # OpenCV ignores which value the file defines as white
        header = _NETPBM_WHITE.match(encoded)
        return header is not None and int(header[1]) not in (255, 65535)
    if is_tiff_with_alpha(encoded):  # OpenCV blends it with black; Pillow follows its orientation
        return True
    # OpenCV 5 takes the first image of an animation for the file's.
    if encoded.startswith(PNG_SIGNATURE):
        return b"acTL" in encoded
    if not follow_exif:
        return False
    if encoded.startswith(b"ftyp", 4):  # OpenCV ignores the orientation of an AVIF
        brands = encoded[8 : int.from_bytes(encoded[:4], "big")]
        return _PILLOW_HAS_AVIF and (b"avif" in brands or b"avis" in brands)
    if encoded.startswith(b"WEBP", 8):  # so does OpenCV 4.8 that of a WebP
        return needs_exif_rotation(encoded)
    # From a JPEG 2000 with several sizes, OpenCV decodes another one than Pillow, with which the
    # size is checked.
    return encoded.startswith(b"jP  ", 4) or encoded.startswith(b"\xff\x4f\xff\x51")


def load_by_pillow(
    image: bytes | Image.Image, *, max_pixels: int = _OPENCV_MAX_PIXELS
) -> np.ndarray:
    """Load an image as :func:`lpv_onnx.load_image` does, following its EXIF orientation.

    Args:
        image: Bytes of a file, or a Pillow image.
        max_pixels: Maximum number of pixels; larger images are refused.

    Returns:
        The image in BGR order, uint8, shape (height, width, 3).

    Raises:
        lpv_onnx.ImageError: If the image cannot be decoded.
    """
    rgb = lpv_onnx.load_image(image, max_pixels=max_pixels)
    return np.ascontiguousarray(np.asarray(rgb)[..., ::-1])
