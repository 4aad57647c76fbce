"""Loading the pictures that are to be read."""

from __future__ import annotations

import http.client
import io
import os
import reprlib

import numpy as np
from mmengine import fileio
from PIL import Image

from lpv_onnx.pictures import MAX_PIXELS, PictureError

from ..datasets.transforms.loading import decode_image, load_by_pillow
from ..datasets.transforms.word_image import to_bgr


def load_picture(
    source: str | os.PathLike | np.ndarray | Image.Image, *, max_pixels: int = MAX_PIXELS
) -> np.ndarray:
    """Load a picture, decoded as ``LoadWordImage`` does (so EXIF orientation is followed).

    Args:
        source: Path or address of a file, an array as ``LoadWordImage`` takes it, BGR, or a picture
            of Pillow's, which becomes what ``LoadWordImage`` would make of it in a file.
        max_pixels: Refuse files and pictures of Pillow's with more. Nothing of them is decoded.

    Returns:
        The picture in BGR order, uint8, shape (H, W, 3).

    Raises:
        PictureError: If there is no such file, or it is not a picture, is damaged or too large, or
            it is a JPEG that was cut short, whose missing part OpenCV would fill with grey.
        TypeError: If the source is nothing of the kind.
    """
    if isinstance(source, np.ndarray):
        return to_bgr(source)
    if isinstance(source, Image.Image):
        return _from_pillow(source, max_pixels)
    if not isinstance(source, (str, os.PathLike)):
        raise TypeError(
            "a picture to read is a path, a NumPy array in BGR order or a Pillow image, got "
            f"{type(source).__name__}: {reprlib.repr(source)}"
        )
    encoded = _read_file(os.fspath(source))
    _check_header(encoded, max_pixels)
    try:
        return decode_image(encoded, upright=False)
    except ValueError as error:
        raise PictureError(str(error)) from error


def _from_pillow(picture: Image.Image, max_pixels: int) -> np.ndarray:
    if picture.width * picture.height > max_pixels:
        raise _too_many_pixels(max_pixels, *picture.size)
    return load_by_pillow(picture, max_pixels=max_pixels)


def _read_file(path: str) -> bytes:
    try:
        if os.path.isdir(path):
            with os.scandir(path):  # a folder that cannot be listed is not empty
                raise PictureError("it is a folder in which no picture can be found")
        encoded = fileio.get(path)
    except FileNotFoundError as error:
        raise PictureError("there is no such file") from error
    except OSError as error:
        raise PictureError(error.strerror or str(error)) from error
    except ValueError as error:  # such as a null character in the path
        raise PictureError(str(error)) from error
    except http.client.HTTPException as error:  # of an address that is none, or of half an answer
        raise PictureError(f"the address gives no picture ({error!r})") from error
    except (KeyError, ImportError) as error:  # MMEngine knows s3://, with a package of its own
        kind = path.partition("://")[0]
        raise PictureError(f"addresses that begin with {kind}:// cannot be read here") from error
    if not encoded:
        raise PictureError("the file is empty")
    return encoded


def _check_header(encoded: bytes, max_pixels: int) -> None:
    """Look at what a file says of itself; nothing is decoded yet."""
    try:
        header = Image.open(io.BytesIO(encoded))
    except Image.DecompressionBombError as error:
        raise _too_many_pixels(max_pixels) from error
    except Exception as error:  # Pillow has many kinds for damaged files
        # OpenCV knows a few formats more, none of them of words, and has next to no limits.
        raise PictureError("it is not a picture, or one of unknown or damaged format") from error
    if header.width * header.height > max_pixels:
        raise _too_many_pixels(max_pixels, *header.size)


def _too_many_pixels(allowed: int, *size: int) -> PictureError:
    message = f"it has too many pixels; {allowed / 1e6:.0f} million are allowed"
    return PictureError(f"{message} ({' by '.join(map(str, size))})" if size else message)
