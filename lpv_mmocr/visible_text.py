"""Text of any script, with invisible characters made visible."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

MAX_LISTED = 20
"""Maximum number of characters that a message lists."""


def code_point(character: str) -> str:
    """Return the number of a character, such as ``U+4E2D``."""
    return f"U+{ord(character):04X}"


def visible(text: str) -> str:
    """Make invisible characters visible.

    Args:
        text: Any text.

    Returns:
        The text with ``␣`` for spaces, and code points such as ``U+200B`` for unprintable
        characters: control characters, direction marks, unassigned code points.
    """
    return "".join(map(_visible_character, text))


def _visible_character(character: str) -> str:
    if character == " ":
        return "\N{OPEN BOX}"
    return character if character.isprintable() else code_point(character)


def single(character: str) -> str:
    """Make a single character displayable.

    Args:
        character: One character.

    Returns:
        The result of :func:`visible`, with combining marks placed on a dotted circle.
    """
    shown = visible(character)
    return f"\N{DOTTED CIRCLE}{shown}" if unicodedata.category(character)[0] == "M" else shown


def listed(characters: Sequence[str]) -> str:
    """Return the first characters in a visible form, for a message.

    Args:
        characters: Characters, the most important first.
    """
    more = " ..." * (len(characters) > MAX_LISTED)
    return " ".join(map(single, characters[:MAX_LISTED])) + more
