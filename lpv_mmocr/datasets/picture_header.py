"""What the first bytes of a picture say about it."""

from __future__ import annotations

import io
import warnings
from typing import NamedTuple

from PIL import Image

_EXTENSIONS = {"JPEG": ".jpg", "MPO": ".jpg", "TIFF": ".tif", "JPEG2000": ".jp2"}


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
        What it says, or ``None`` if it is no picture that Pillow knows.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(encoded or b""))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return PictureHeader(picture.format or "?", *picture.size)


def extension_of(encoded: bytes) -> str:
    """File name extension that fits the content, such as ``.jpg``; ``.img`` if it is unknown.

    Args:
        encoded: The bytes of its file.
    """
    header = read_header(encoded)
    if header is None:
        return ".img"
    return _EXTENSIONS.get(header.format, f".{header.format.lower()}")
