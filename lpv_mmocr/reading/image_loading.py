"""Loading of the images to read."""

from __future__ import annotations

import http.client
import io
import os
import reprlib
import urllib.request

import numpy as np
from mmengine import fileio
from PIL import Image

from lpv_onnx.image_loading import MAX_PIXELS, ImageError

from ..datasets.transforms.loading import decode_image, load_by_pillow
from ..datasets.transforms.word_image import to_bgr

_WEB = ("http://", "https://")
_TIMEOUT = 30  # seconds without an answer
_MAX_DOWNLOAD = 2**28


def load_image(
    source: str | os.PathLike | np.ndarray | Image.Image, *, max_pixels: int = MAX_PIXELS
) -> np.ndarray:
    """Load an image as ``LoadWordImage`` does, applying the EXIF orientation.

    Args:
        source: Path or URL of a file, a BGR array that ``LoadWordImage`` accepts, or a Pillow
            image, which is converted as ``LoadWordImage`` would convert it from a file.
        max_pixels: Maximum number of pixels; larger files and Pillow images are rejected without
            decoding. For files, Pillow's own limit applies too.

    Returns:
        The image in BGR order, uint8, shape (H, W, 3).

    Raises:
        ImageError: If the file does not exist, is not an image, is damaged or too large, or is
            a truncated JPEG, whose missing part OpenCV would fill with grey.
        TypeError: If the source is of another type.
    """
    if isinstance(source, np.ndarray):
        return to_bgr(source)
    if isinstance(source, Image.Image):
        return _from_pillow(source, max_pixels)
    if not isinstance(source, (str, os.PathLike)):
        raise TypeError(
            "an image to read is a path, a NumPy array in BGR order or a Pillow image, got "
            f"{type(source).__name__}: {reprlib.repr(source)}"
        )
    encoded = _read_file(os.fspath(source))
    _check_header(encoded, max_pixels)
    try:
        return decode_image(encoded, follow_exif=True, max_pixels=max_pixels)
    except ValueError as error:
        raise ImageError(str(error)) from error


def _from_pillow(image: Image.Image, max_pixels: int) -> np.ndarray:
    if image.width * image.height > max_pixels:
        raise _too_many_pixels(max_pixels, *image.size)
    return load_by_pillow(image, max_pixels=max_pixels)


def _read_file(path: str) -> bytes:
    try:
        if os.path.isdir(path):
            with os.scandir(path):  # a folder that cannot be listed is not empty
                raise ImageError("it is a folder in which no image can be found")
        encoded = _download(path) if path.lower().startswith(_WEB) else fileio.get(path)
    except FileNotFoundError as error:
        raise ImageError("there is no such file") from error
    except OSError as error:
        raise ImageError(error.strerror or str(error)) from error
    except ValueError as error:  # such as a null character in the path
        raise ImageError(str(error)) from error
    except http.client.HTTPException as error:  # invalid URL, or incomplete response
        raise ImageError(f"the address gives no image ({error!r})") from error
    except (KeyError, ImportError) as error:  # MMEngine supports s3:// with an extra package
        kind = path.partition("://")[0]
        raise ImageError(f"addresses that begin with {kind}:// cannot be read here") from error
    if not encoded:
        raise ImageError("the file is empty")
    return encoded


def _download(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=_TIMEOUT) as response:
        encoded = response.read(_MAX_DOWNLOAD + 1)
    if len(encoded) > _MAX_DOWNLOAD:
        raise ImageError(f"it has more than {_MAX_DOWNLOAD >> 20} MiB, the maximum for downloads")
    return encoded


def _check_header(encoded: bytes, max_pixels: int) -> None:
    """Check format and size in the header of a file, without decoding it."""
    try:
        header = Image.open(io.BytesIO(encoded))
    except Image.DecompressionBombError as error:
        raise _too_many_pixels(min(max_pixels, 2 * Image.MAX_IMAGE_PIXELS)) from error
    except Exception as error:  # Pillow raises many types for damaged files
        # OpenCV reads a few more formats, none of them used for words, and has hardly any limits.
        raise ImageError("it is not an image, or one of unknown or damaged format") from error
    if header.width * header.height > max_pixels:
        raise _too_many_pixels(max_pixels, *header.size)


def _too_many_pixels(allowed: int, *size: int) -> ImageError:
    message = f"it has too many pixels; {allowed / 1e6:.0f} million are allowed"
    return ImageError(f"{message} ({' by '.join(map(str, size))})" if size else message)
