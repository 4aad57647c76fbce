"""What the first bytes of a picture say about it."""

from __future__ import annotations

import io
from typing import NamedTuple

from PIL import Image

_EXTENSIONS = {"JPEG": ".jpg", "MPO": ".jpg", "TIFF": ".tif", "JPEG2000": ".jp2"}
_ORIENTATION = 0x0112  # tag of EXIF, as of TIFF


class PictureHeader(NamedTuple):
    """Format and size of a picture that was not decoded.

    Attributes:
        format: Pillow's name of the format, such as ``JPEG`` or ``PNG``.
        width: Width in pixels.
        height: Height in pixels.
    """

    format: str
    width: int
    height: int


def read_header(encoded: bytes | None) -> PictureHeader | None:
    """Read a picture's header.

    Args:
        encoded: The bytes of its file.

    Returns:
        What it says, or ``None`` if it is not a picture that Pillow knows.
    """
    picture = _opened(encoded)
    return None if picture is None else PictureHeader(picture.format or "?", *picture.size)


def asks_to_be_turned(encoded: bytes) -> bool:
    """Whether a picture is to be turned or mirrored before it is looked at: its EXIF orientation.

    It is not decoded; what stands behind its pixels does not count.

    Args:
        encoded: The bytes of its file.
    """
    picture = _opened(encoded)
    if picture is None:
        return False
    try:
        exif = Image.Exif()
        exif.load(picture.info["exif"])
        return exif.get(_ORIENTATION, 1) in range(2, 9)
    except Exception:  # of many kinds, where there are no such tags or damaged ones
        return False


def _opened(encoded: bytes | None) -> Image.Image | None:
    try:
        return Image.open(io.BytesIO(encoded or b""))
    except Exception:  # of many kinds, where it is not a picture, a damaged or a huge one
        return None


def is_tiff_with_alpha(encoded: bytes) -> bool:
    """Whether a file is a TIFF in colour with an alpha channel.

    Args:
        encoded: The bytes of the file.
    """
    if not encoded.startswith((b"II*\0", b"MM\0*")):
        return False
    picture = _opened(encoded)
    return picture is not None and picture.mode == "RGBA"


def is_cut_jpeg(encoded: bytes) -> bool:
    """Whether a file begins as a JPEG does and ends before its picture does.

    OpenCV fills the part that is missing. The mark of the end counts only behind the header, since
    a thumbnail in the header has one of its own (ITU-T T.81, B.1.1).

    Args:
        encoded: The bytes of the file.
    """
    if encoded[:2] != b"\xff\xd8":
        return False
    place = 2
    while encoded[place : place + 1] == b"\xff":
        kind = encoded[place + 1 : place + 2]
        if kind == b"\xff":  # padding before a marker
            place += 1
        elif kind == b"\xda":  # the picture follows
            return b"\xff\xd9" not in encoded[place:]
        elif b"\xd0" <= kind <= b"\xd9":  # has no length, and no place in a header
            break
        else:
            place += 2 + int.from_bytes(encoded[place + 2 : place + 4], "big")
    # A header that is out of order is for the decoder to judge.
    return place >= len(encoded) or b"\xff\xd9" not in encoded


def extension_of(encoded: bytes) -> str:
    """File name extension that fits the content, such as ``.jpg``; ``.img`` if it is unknown.

    Args:
        encoded: The bytes of its file.
    """
    header = read_header(encoded)
    if header is None:
        return ".img"
    return _EXTENSIONS.get(header.format, f".{header.format.lower()}")
