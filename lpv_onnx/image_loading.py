"""Loading of images of any common kind."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

MAX_PIXELS = 2**26
"""Default limit: words have thousands of pixels, photos millions; more is a mistake or attack."""

_USUAL_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "PPM")
"""Formats whose plugins Pillow loads when it opens its first file."""
# Pillow starts Ghostscript for EPS, and calls Windows for WMF.
_FORMATS_THAT_RUN = frozenset({"EPS", "WMF"})
# Pillow loads their 16-bit values as 32-bit ones; those of a TIFF, or in memory, may be any.
_INTEGERS_OF_16_BITS = frozenset({"PNG", "PPM"})
_XMP = ("xmp", "XML:com.adobe.xmp")
# Ignore Pillow's warnings about odd files. Done once: filters set and reset for each image, as by
# warnings.catch_warnings, get lost when several threads do so.
warnings.filterwarnings("ignore", module=r"PIL\.")

ImageInput = str | os.PathLike | bytes | np.ndarray | Image.Image
"""Path of a file; contents of a file; array, grey or in OpenCV's BGR or BGRA order, uint8 or
uint16; or Pillow image."""


class ImageError(ValueError):
    """An image cannot be read; the message says why."""


def load_image(image: ImageInput, *, max_pixels: int | None = None) -> Image.Image:
    """Load an image of any common kind as 8-bit RGB.

    The EXIF orientation is applied, grey becomes colour, an alpha channel is dropped (not blended),
    and 16-bit values keep their upper 8 bits.

    Args:
        image: Image to load.
        max_pixels: Maximum number of pixels of files and Pillow images; ``MAX_PIXELS`` by default.
            For files, Pillow's own limit applies too (``2 * PIL.Image.MAX_IMAGE_PIXELS``).

    Raises:
        ImageError: If there is no such file, or it is not an image, is damaged or too large.
        TypeError: If the argument is none of the kinds of ``ImageInput``.
    """
    if isinstance(image, np.ndarray):
        return _from_array(image)
    max_pixels = MAX_PIXELS if max_pixels is None else max_pixels
    if isinstance(image, Image.Image):
        return _decode(lambda: image, max_pixels)
    if not isinstance(image, ImageInput):
        raise TypeError(
            "an image is a path, bytes, a NumPy array or a Pillow image, got "
            f"{type(image).__name__}"
        )
    try:
        encoded = image if isinstance(image, bytes) else Path(image).read_bytes()
    except IsADirectoryError as error:
        raise ImageError(
            f"it is a folder; give the files in it, such as {os.path.join(image, '*.png')}"
        ) from error
    except OSError as error:
        raise ImageError(error.strerror or str(error)) from error
    except ValueError as error:  # e.g. for a null character in the path
        raise ImageError(str(error)) from error
    if not encoded:
        raise ImageError("the file is empty")
    return _decode(lambda: _open(encoded), max_pixels)


def _open(encoded: bytes) -> Image.Image:
    """Open any format that Pillow and its plugins read without external programs."""
    try:
        return Image.open(io.BytesIO(encoded), formats=_USUAL_FORMATS)
    except UnidentifiedImageError:
        Image.init()  # loads all of Pillow's plugins, which takes longer than reading a word
        others = [name for name in Image.OPEN if name not in _FORMATS_THAT_RUN]
        return Image.open(io.BytesIO(encoded), formats=others)


def to_eight_bits(array: np.ndarray) -> np.ndarray:
    """Check that an array is an image, and keep the upper 8 bits of 16-bit values.

    Args:
        array: Shape (H, W) or (H, W, C) with 1, 3 or 4 channels, uint8 or uint16.

    Returns:
        The array as uint8, in the same shape.

    Raises:
        ImageError: If it has another shape or dtype, or no pixels.
    """
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in (2, 3) or channels not in (1, 3, 4) or array.size == 0:
        raise ImageError(
            f"an array of shape {array.shape} is not an image; it must be (height, width) or "
            "(height, width, 1, 3 or 4 channels)"
        )
    if array.dtype.kind == "u" and array.dtype.itemsize == 2:  # of either byte order
        array = (array >> 8).astype(np.uint8)
    if array.dtype != np.uint8:
        raise ImageError(
            f"an image of type {array.dtype} could mean several ranges; scale it to 0-255 and "
            "pass it as uint8 (or as uint16, 0-65535)"
        )
    return array


def _decode(open_image: Callable[[], Image.Image], max_pixels: int) -> Image.Image:
    """Open and decode an image; Pillow images that were passed in are also decoded only here."""
    too_many = "it has too many pixels; {:.0f} million are allowed"
    try:
        image = open_image()
        if 0 in image.size:
            raise ImageError("it has no pixels")
        if image.width * image.height > max_pixels:
            raise ImageError(
                f"{too_many.format(max_pixels / 1e6)} ({image.width} x {image.height})"
            )
        return _to_rgb(image)
    except Image.DecompressionBombError as error:
        allowed = min(max_pixels, 2 * Image.MAX_IMAGE_PIXELS)
        raise ImageError(too_many.format(allowed / 1e6)) from error
    except ImageError:
        raise
    except UnidentifiedImageError as error:  # its message names an object instead of the file
        raise ImageError("it is not an image, or a damaged one") from error
    except Exception as error:  # a damaged file can make a decoder fail in any way
        raise ImageError(f"it is not an image, or a damaged one ({error})") from error


def _to_rgb(image: Image.Image) -> Image.Image:
    has_16_bits = image.format in _INTEGERS_OF_16_BITS
    image = _turned(image)
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if image.mode == "I" and not has_16_bits and values.max() <= 0xFF:
            raise ImageError(
                "its values are integers up to 255, which could mean several ranges; convert it to "
                "mode L (or to I;16, 0-65535)"
            )
        if values.min() < 0 or values.max() > 0xFFFF:
            raise ImageError("its values have more than 16 bits")
        image = Image.fromarray((values >> 8).astype(np.uint8))
    if image.mode == "F":
        raise ImageError("its values are floating-point numbers, which could mean several ranges")
    return image.convert("RGB")


def _turned(image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation."""
    # Without one, Pillow looks for an orientation in XMP, which viewers do not.
    elsewhere = {key: image.info.pop(key) for key in _XMP if key in image.info}
    try:
        return ImageOps.exif_transpose(image)
    finally:
        image.info.update(elsewhere)


def _from_array(array: np.ndarray) -> Image.Image:
    array = to_eight_bits(array)
    if array.ndim == 2 or array.shape[2] == 1:
        return Image.fromarray(array.reshape(array.shape[:2])).convert("RGB")
    return Image.fromarray(np.ascontiguousarray(array[..., 2::-1]))
