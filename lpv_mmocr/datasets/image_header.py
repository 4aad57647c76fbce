"""Information from the headers of encoded images."""

from __future__ import annotations

import io
from typing import NamedTuple

from PIL import Image

_EXTENSIONS = {"JPEG": ".jpg", "MPO": ".jpg", "TIFF": ".tif", "JPEG2000": ".jp2"}
_ORIENTATION = 0x0112  # EXIF tag, the same as in TIFF


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
    if encoded[:2] != b"\xff\xd8":
        return False
    place = 2
    while encoded[place : place + 1] == b"\xff":
        kind = encoded[place + 1 : place + 2]
        if kind == b"\xff":  # padding before a marker
            place += 1
        elif kind == b"\xda":  # the image follows
            return b"\xff\xd9" not in encoded[place:]
        elif b"\xd0" <= kind <= b"\xd9":  # has no length and does not belong in a header
            break
        else:
            place += 2 + int.from_bytes(encoded[place + 2 : place + 4], "big")
    # A malformed header is left to the decoder.
    return place >= len(encoded) or b"\xff\xd9" not in encoded


def extension_of(encoded: bytes) -> str:
    """Return the file extension for the content, such as ``.jpg``; ``.img`` if it is unknown.

    Args:
        encoded: Bytes of the file.
    """
    header = read_header(encoded)
    if header is None:
        return ".img"
    return _EXTENSIONS.get(header.format, f".{header.format.lower()}")
