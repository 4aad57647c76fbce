"""Loading the pictures that are to be read."""

from __future__ import annotations

import io
import os
import warnings

from lpv_mmocr.datasets.transforms.word_image import to_bgr

import cv2
import mmcv
import numpy as np
from mmengine import fileio
from PIL import Image

MAX_PIXELS = 2**26
"""A picture of a word has thousands of pixels, a photo millions; more is a mistake or an attack."""

_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"


class PictureError(ValueError):
    """A picture cannot be read; the message says why."""


def load_picture(
    source: str | os.PathLike | np.ndarray, *, max_pixels: int = MAX_PIXELS
) -> np.ndarray:
    """Load a picture, decoded as ``LoadWordImage`` does (so EXIF orientation is followed).

    Args:
        source: Path or address of a file, or an array as ``LoadWordImage`` takes it, BGR.
        max_pixels: Refuse files whose header announces more. Nothing of them is decoded.

    Returns:
        The picture in BGR order, uint8, shape (H, W, 3).

    Raises:
        PictureError: If there is no such file, or it is no picture, a damaged or too large one, or
            a JPEG that was cut short (of which OpenCV would fill the missing part with grey).
        TypeError: If the source is neither a path nor an array.
    """
    if isinstance(source, np.ndarray):
        try:
            return to_bgr(source)
        except ValueError as error:
            raise PictureError(str(error)) from error
    if not isinstance(source, (str, os.PathLike)):
        raise TypeError(
            f"a picture to read is a path or a NumPy array, got a {type(source).__name__}"
        )
    encoded = _read_file(os.fspath(source))
    _check_header(encoded, max_pixels)
    try:
        image = mmcv.imfrombytes(encoded, flag="color", channel_order="bgr", backend="cv2")
    except cv2.error as error:
        raise PictureError(f"it cannot be decoded ({str(error).strip()})") from error
    if image is None or image.size == 0:
        raise PictureError("it is a picture of damaged or unknown content")
    return image


def _read_file(path: str) -> bytes:
    try:
        if os.path.isdir(path):
            raise PictureError("it is a folder in which no picture can be found")
        encoded = fileio.get(path)
    except FileNotFoundError as error:
        raise PictureError("there is no such file") from error
    except OSError as error:
        raise PictureError(error.strerror or str(error)) from error
    except ValueError as error:  # such as a null character in the path
        raise PictureError(str(error)) from error
    if not encoded:
        raise PictureError("the file is empty")
    if encoded[:2] == _JPEG_START and _JPEG_END not in encoded:
        raise PictureError("it is a JPEG that was cut short")
    return encoded


def _check_header(encoded: bytes, max_pixels: int) -> None:
    too_many = f"it has too many pixels; {max_pixels / 1e6:.0f} million are allowed"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            width, height = Image.open(io.BytesIO(encoded)).size
    except Image.DecompressionBombError as error:
        raise PictureError(too_many) from error
    except (OSError, ValueError, SyntaxError) as error:
        # OpenCV knows a few formats more, none of them of words, and has next to no limits.
        raise PictureError("it is no picture, or one of unknown or damaged format") from error
    if width * height > max_pixels:
        raise PictureError(f"{too_many} ({width} by {height})")
