"""Text that does not steer a terminal."""

from __future__ import annotations

import unicodedata


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
    """Put escapes for control characters: the classes of a model may be anything.

    What joins letters or gives their direction stays, other than in :func:`printable`.

    Args:
        text: What was read.
    """
    return "".join(
        character if unicodedata.category(character) != "Cc" else printable(character)
        for character in text
    )
