"""Decoding of stored pictures."""

from __future__ import annotations

import cv2
import numpy as np

import lpv_onnx

from ..picture_header import is_cut_jpeg

# Orientation tags are ignored, as Pillow ignores them in the released code: word crops are stored
# upright, and a tag left over from the full photo would turn them.
_UPRIGHT = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
# OpenCV shows values of a netpbm file as they are, whatever it says is white,
_NETPBM = tuple(b"P%d" % number for number in range(1, 7))
# leaves AVIF as it lies, whatever turn it asks for, and takes another size of a JPEG 2000 with
# several than Pillow, by which it was held to be small enough.
_TURNED_OR_SIZED = ((4, b"ftypavif"), (4, b"ftypavis"), (4, b"jP  "), (0, b"\xff\x4f\xff\x51"))
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
    if _is_misread(encoded, upright):
        return _decode_by_pillow(encoded)
    try:
        flags = _UPRIGHT if upright else cv2.IMREAD_COLOR
        image = cv2.imdecode(np.frombuffer(encoded, np.uint8), flags)
    except cv2.error as error:
        raise ValueError(f"its image ({len(encoded)} bytes) cannot be decoded: {error}") from error
    if image is None or image.size == 0:
        raise ValueError(f"its image ({len(encoded)} bytes) cannot be decoded")
    return image


def _is_misread(encoded: bytes, upright: bool) -> bool:
    """Whether OpenCV would make another picture of a file than it is."""
    if encoded.startswith(_NETPBM):
        return True
    return not upright and any(encoded.startswith(mark, place) for place, mark in _TURNED_OR_SIZED)


def _decode_by_pillow(encoded: bytes) -> np.ndarray:
    try:
        image = lpv_onnx.load_picture(encoded, max_pixels=_MAX_PIXELS)
    except lpv_onnx.PictureError as error:
        raise ValueError(f"its image ({len(encoded)} bytes) cannot be decoded: {error}") from error
    return np.ascontiguousarray(np.asarray(image)[..., ::-1])
