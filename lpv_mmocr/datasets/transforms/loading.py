"""Decoding of stored pictures."""

from __future__ import annotations

import re
from importlib.util import find_spec

import cv2
import numpy as np
from PIL import Image

import lpv_onnx

from ..picture_header import is_cut_jpeg, is_tiff_with_alpha

# Orientation tags are ignored, as Pillow ignores them in the released code: word crops are stored
# upright, and a tag left over from the full photo would turn them.
_UPRIGHT = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
_GAP = rb"(?:\s|#[^\n]*\n)+"
_NETPBM_WHITE = re.compile(rb"P[2356]" + 2 * (_GAP + rb"\d+") + _GAP + rb"(\d+)")
_PILLOW_HAS_AVIF = find_spec("PIL._avif") is not None
_MAX_PIXELS = 2**30
"""As OpenCV."""


def decode_image(encoded: bytes, *, upright: bool = True) -> np.ndarray:
    """Decode a picture of any format that OpenCV reads, what it misreads by Pillow.

    Grey and palette pictures become colour ones, an alpha channel is dropped (not blended), and
    16-bit values keep their upper 8 bits.

    Args:
        encoded: The file's bytes.
        upright: Whether it is stored upright, so that its EXIF orientation is ignored.

    Returns:
        The picture in BGR order, uint8, shape (height, width, 3).

    Raises:
        ValueError: If the bytes are empty, cannot be decoded, or are a JPEG that was cut short (of
            which OpenCV would fill the missing part with grey).
    """
    if not encoded:
        raise ValueError("its image is empty")
    if is_cut_jpeg(encoded):
        raise ValueError(f"its image ({len(encoded)} bytes) is a JPEG that was cut short")
    try:
        if _is_misread(encoded, upright):
            return load_by_pillow(encoded)
        flags = _UPRIGHT if upright else cv2.IMREAD_COLOR
        image = cv2.imdecode(np.frombuffer(encoded, np.uint8), flags)
        if image is None:  # Pillow knows more formats, and says what is wrong
            return load_by_pillow(encoded)
    except (cv2.error, lpv_onnx.PictureError) as error:
        raise ValueError(f"its image ({len(encoded)} bytes) cannot be decoded: {error}") from error
    return image


def _is_misread(encoded: bytes, upright: bool) -> bool:
    """Whether OpenCV would make another picture of a file than it is."""
    if encoded.startswith(b"P"):  # it takes values as they are, whatever the file says is white
        header = _NETPBM_WHITE.match(encoded)
        return header is not None and int(header[1]) not in (255, 65535)
    if is_tiff_with_alpha(encoded):  # it blends it with black; Pillow follows its orientation
        return True
    if upright:
        return False
    if encoded.startswith(b"ftyp", 4):  # it leaves an AVIF as it lies, whatever turn that asks for
        brands = encoded[8 : int.from_bytes(encoded[:4], "big")]
        return _PILLOW_HAS_AVIF and (b"avif" in brands or b"avis" in brands)
    # Of a JPEG 2000 with several sizes it takes another one than Pillow, which looked at the size.
    return encoded.startswith(b"jP  ", 4) or encoded.startswith(b"\xff\x4f\xff\x51")


def load_by_pillow(picture: bytes | Image.Image, *, max_pixels: int = _MAX_PIXELS) -> np.ndarray:
    """Load a picture as :func:`lpv_onnx.load_picture` does, so its EXIF orientation is followed.

    Args:
        picture: A file's bytes, or a picture of Pillow's.
        max_pixels: Refuse one with more.

    Returns:
        The picture in BGR order, uint8, shape (height, width, 3).

    Raises:
        lpv_onnx.PictureError: If it cannot be decoded.
    """
    image = lpv_onnx.load_picture(picture, max_pixels=max_pixels)
    return np.ascontiguousarray(np.asarray(image)[..., ::-1])
