"""Text that does not steer a terminal."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any

_STEERING = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""What JSON lets stand as it is, though it steers a terminal or ends a line for some readers."""
_OVERRIDES = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Change the order in which all that follows is shown."""


def printable(text: str) -> str:
    """Put text on one line, whatever it holds: a file's name may steer a terminal.

    Args:
        text: Such as a file's name.

    Returns:
        The text, with Python's escapes for what cannot be printed.
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def without_controls(text: str) -> str:
    """Put escapes for what would steer a terminal or end a line: classes may be anything.

    What joins letters, or marks the direction of one, stays, other than in :func:`printable`.

    Args:
        text: What was read.
    """
    return "".join(
        printable(character)
        if unicodedata.category(character) in ("Cc", "Zl", "Zp") or character in _OVERRIDES
        else character
        for character in text
    )


def json_line(row: dict[str, Any]) -> str:
    """Write a row as JSON that keeps to its line, whatever texts are in it.

    Args:
        row: Plain data.

    Returns:
        The line without its end.
    """
    text = json.dumps(row, ensure_ascii=False)
    return _STEERING.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
