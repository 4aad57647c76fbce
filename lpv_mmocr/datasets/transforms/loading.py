"""Decoding of stored pictures."""

from __future__ import annotations

import cv2
import numpy as np

from ..picture_header import is_cut_jpeg

# Orientation tags are ignored, as Pillow ignores them in the released code: word crops are stored
# upright, and a tag left over from the full photo would turn them.
_UPRIGHT = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION


def decode_image(encoded: bytes, *, upright: bool = True) -> np.ndarray:
    """Decode a picture of any format that OpenCV reads.

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
        flags = _UPRIGHT if upright else cv2.IMREAD_COLOR
        image = cv2.imdecode(np.frombuffer(encoded, np.uint8), flags)
    except cv2.error as error:
        raise ValueError(f"its image ({len(encoded)} bytes) cannot be decoded: {error}") from error
    if image is None or image.size == 0:
        raise ValueError(f"its image ({len(encoded)} bytes) cannot be decoded")
    return image
