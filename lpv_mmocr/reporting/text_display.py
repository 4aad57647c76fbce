"""Texts of any script as a page can show them: nothing invisible, differences marked."""

from __future__ import annotations

import unicodedata
from itertools import groupby
from typing import NamedTuple

from lpv_mmocr.evaluation import TextProtocol

from rapidfuzz.distance import Levenshtein


class Run(NamedTuple):
    """Neighbouring characters that are shown alike.

    Attributes:
        text: The characters.
        wrong: Whether they differ from the other text.
    """

    text: str
    wrong: bool


def visible(text: str) -> str:
    """Make characters visible that are not.

    Args:
        text: Any text.

    Returns:
        The text with ``␣`` for spaces, and code points such as ``U+200B`` for what cannot be
        printed: control characters, marks of direction, unassigned code points.
    """
    return "".join(map(_visible_character, text))


def _visible_character(character: str) -> str:
    if character == " ":
        return "\N{OPEN BOX}"
    return character if character.isprintable() else f"U+{ord(character):04X}"


def single(character: str) -> str:
    """Show a character that stands alone.

    Args:
        character: One character.

    Returns:
        What :func:`visible` makes of it; combining marks sit on a dotted circle.
    """
    shown = visible(character)
    return f"\N{DOTTED CIRCLE}{shown}" if unicodedata.category(character)[0] == "M" else shown


def character_name(character: str) -> str:
    """Code point and Unicode name, which tell apart what looks the same.

    Args:
        character: One character.
    """
    return f"U+{ord(character):04X} {unicodedata.name(character, '')}".strip()


def compare(label: str, text: str, protocol: TextProtocol) -> tuple[list[Run], list[Run]]:
    """Mark where a reading differs from its label.

    Args:
        label: The label.
        text: What was read.
        protocol: What counts; what does not is never marked.

    Returns:
        The runs of the label and those of the text, all characters visible.
    """
    texts = (label, text)
    reduced = [[protocol.reduce(character) for character in each] for each in texts]
    counting = [[i for i, kept in enumerate(each) if kept] for each in reduced]
    wrong: tuple[set[int], set[int]] = (set(), set())
    kept = [[each[i] for i in places] for each, places in zip(reduced, counting, strict=True)]
    for step in Levenshtein.opcodes(*kept):
        if step.tag != "equal":
            wrong[0].update(counting[0][step.src_start : step.src_end])
            wrong[1].update(counting[1][step.dest_start : step.dest_end])
    first, second = (_runs(each, marked) for each, marked in zip(texts, wrong, strict=True))
    return first, second


def _runs(text: str, wrong: set[int]) -> list[Run]:
    # Runs, not single characters: letters of many scripts change their shape beside others.
    places = groupby(range(len(text)), lambda i: i in wrong)
    return [Run(visible("".join(text[i] for i in run)), marked) for marked, run in places]
