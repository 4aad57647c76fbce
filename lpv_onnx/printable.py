"""Text that does not steer a terminal."""

from __future__ import annotations

import unicodedata

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
