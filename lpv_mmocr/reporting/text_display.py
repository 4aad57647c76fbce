"""Display of texts of any script: invisible characters made visible, differences marked."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from ..evaluation import TextProtocol
from ..evaluation.alignment import align


class Run(NamedTuple):
    """Consecutive characters that are shown alike.

    Attributes:
        text: The characters.
        wrong: Whether they differ from the other text.
    """

    text: str
    wrong: bool


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
    return character if character.isprintable() else f"U+{ord(character):04X}"


def single(character: str) -> str:
    """Make a single character displayable.

    Args:
        character: One character.

    Returns:
        The result of :func:`visible`, with combining marks placed on a dotted circle.
    """
    shown = visible(character)
    return f"\N{DOTTED CIRCLE}{shown}" if unicodedata.category(character)[0] == "M" else shown


def character_name(character: str) -> str:
    """Return code point and Unicode name, which distinguish characters that look the same.

    Args:
        character: One character.
    """
    return f"U+{ord(character):04X} {unicodedata.name(character, '')}".strip()


def compare(label: str, text: str, protocol: TextProtocol) -> tuple[list[Run], list[Run]]:
    """Mark where a reading differs from its label.

    Args:
        label: The label.
        text: Text that was read.
        protocol: Protocol that determines which characters count; others are never marked.

    Returns:
        The runs of the label and those of the text, with all characters visible.
    """
    matches = align(text, label, protocol)
    return (
        _runs((match.truth, match.wrong) for match in matches if match.truth is not None),
        _runs((match.read, match.wrong) for match in matches if match.read is not None),
    )


def _runs(marked: Iterable[tuple[str, bool]]) -> list[Run]:
    """Return the runs of a text, given its characters and whether they are wrong."""
    # Runs, not single characters: in many scripts, the shape of a letter depends on its neighbours.
    return [
        Run(visible("".join(character for character, _ in run)), is_wrong)
        for is_wrong, run in groupby(marked, itemgetter(1))
    ]
