"""Text without characters that control a terminal."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any

_STEERING = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Characters that JSON leaves as they are but that control a terminal or, for some readers, end a
line."""
_OVERRIDES = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that change the display order of all that follows."""


def printable(text: str) -> str:
    """Escape text so that it fits on one line and cannot control a terminal.

    Args:
        text: Any text, such as a file name.

    Returns:
        The text, with Python escapes for unprintable characters.
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def without_controls(text: str) -> str:
    """Escape what would control a terminal or end a line, since classes may be any character.

    Unlike :func:`printable`, it keeps characters that join letters or mark their direction.

    Args:
        text: Text that was read.
    """
    return "".join(
        printable(character)
        if unicodedata.category(character) in ("Cc", "Zl", "Zp") or character in _OVERRIDES
        else character
        for character in text
    )


def json_line(row: dict[str, Any], encoding: str | None = None) -> str:
    """Return a row as a single line of JSON, whatever texts it contains.

    Args:
        row: Plain data.
        encoding: Encoding of the stream for the line, UTF-8 by default. If it lacks a character of
            the row, all characters beyond ASCII are escaped as JSON does.

    Returns:
        The line without a line break.
    """
    text = json.dumps(row, ensure_ascii=False)
    try:
        text.encode(encoding or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(row)
    return _STEERING.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
