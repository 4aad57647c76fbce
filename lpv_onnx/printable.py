"""Text that does not steer a terminal."""

from __future__ import annotations


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
