"""Information from the headers of encoded images."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import NamedTuple

from PIL import Image

_EXTENSIONS = {"JPEG": ".jpg", "MPO": ".jpg", "TIFF": ".tif", "JPEG2000": ".jp2"}
_ORIENTATION = 0x0112  # EXIF tag, the same as in TIFF
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"
# Second bytes of JPEG markers (ITU-T T.81, table B.1): start of scan, start of each kind of frame.
_SCAN = 0xDA
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_HUGE = (2**16, 2**16)
"""Size of images that Pillow takes for an attack, which it does not tell."""


class ImageHeader(NamedTuple):
    """Format and size of an image that was not decoded.

    Attributes:
        format: Pillow's name of the format, such as ``JPEG`` or ``PNG``.
        width: Width in pixels.
        height: Height in pixels.
    """

    format: str
    width: int
    height: int


def read_header(encoded: bytes | None) -> ImageHeader | None:
    """Read an image's header.

    Args:
        encoded: Bytes of the file.

    Returns:
        Format and size, or ``None`` if Pillow cannot open the image.
    """
    image = _opened(encoded)
    return None if image is None else ImageHeader(image.format or "?", *image.size)


def needs_exif_rotation(encoded: bytes) -> bool:
    """Return whether the EXIF orientation asks for an image to be turned or mirrored.

    The image is not decoded; metadata after its pixels are ignored.

    Args:
        encoded: Bytes of the file.
    """
    image = _opened(encoded)
    if image is None:
        return False
    try:
        exif = Image.Exif()
        exif.load(image.info["exif"])
        return exif.get(_ORIENTATION, 1) in range(2, 9)
    except Exception:  # missing or damaged tags raise many types
        return False


def _opened(encoded: bytes | None) -> Image.Image | None:
    try:
        return Image.open(io.BytesIO(encoded or b""))
    except Exception:  # Pillow raises many types if it is no image, damaged or huge
        return None


def is_tiff_with_alpha(encoded: bytes) -> bool:
    """Return whether a file is a colour TIFF with an alpha channel.

    Args:
        encoded: Bytes of the file.
    """
    if not encoded.startswith((b"II*\0", b"MM\0*")):
        return False
    image = _opened(encoded)
    return image is not None and image.mode == "RGBA"


def is_truncated_jpeg(encoded: bytes) -> bool:
    """Return whether a file begins as a JPEG but ends before its image does.

    OpenCV fills the missing part. The end marker counts only after the header, since a thumbnail in
    the header has its own (ITU-T T.81, B.1.1).

    Args:
        encoded: Bytes of the file.
    """
    if not encoded.startswith(_JPEG):
        return False
    place = 2
    for kind, place in _jpeg_segments(encoded):
        if kind == _SCAN:  # the image follows
            return b"\xff\xd9" not in encoded[place:]
    # A malformed header is left to the decoder.
    return place >= len(encoded) or b"\xff\xd9" not in encoded


def stated_size(encoded: bytes) -> tuple[int, int] | None:
    """Return width and height according to an image's header; None if it is not known.

    Formats in which words are usually stored are parsed here, much faster than by Pillow.

    Args:
        encoded: Bytes of the file.
    """
    if encoded.startswith(PNG_SIGNATURE) and len(encoded) >= 24:
        return struct.unpack(">II", encoded[16:24])
    if encoded.startswith(_JPEG):
        for kind, place in _jpeg_segments(encoded):
            if kind in _FRAMES and len(encoded) >= place + 9:
                height, width = struct.unpack(">HH", encoded[place + 5 : place + 9])
                return width, height
        return None
    try:
        return Image.open(io.BytesIO(encoded)).size
    except Image.DecompressionBombError:
        return _HUGE
    except Exception:  # OpenCV reads a few more formats
        return None


def _jpeg_segments(encoded: bytes) -> Iterator[tuple[int, int]]:
    """Yield the second byte of each marker in a JPEG's header, and the marker's place.

    The last one is that of the first scan. After it, and after the end of a malformed header, the
    place is yielded with -1.
    """
    place = 2
    while encoded[place : place + 1] == b"\xff":
        if place + 1 == len(encoded):
            place += 1
            break
        kind = encoded[place + 1]
        if kind == 0xFF:  # padding before a marker
            place += 1
            continue
        if 0xD0 <= kind <= 0xD9:  # has no length and does not belong in a header
            break
        yield kind, place
        if kind == _SCAN:
            return
        place += 2 + int.from_bytes(encoded[place + 2 : place + 4], "big")
    yield -1, place


def extension_of(encoded: bytes) -> str:
    """Return the file extension for the content, such as ``.jpg``; ``.img`` if it is unknown.

    Args:
        encoded: Bytes of the file.
    """
    header = read_header(encoded)
    if header is None:
        return ".img"
    return _EXTENSIONS.get(header.format, f".{header.format.lower()}")
