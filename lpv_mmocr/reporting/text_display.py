"""Display of texts of any script: names of characters, differences marked."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from ..evaluation import TextProtocol
from ..evaluation.alignment import align
from ..visible_text import code_point, visible


class Run(NamedTuple):
    """Consecutive characters that are shown alike.

    Attributes:
        text: The characters.
        wrong: Whether they differ from the other text.
    """

    text: str
    wrong: bool


def character_name(character: str) -> str:
    """Return code point and Unicode name, which distinguish characters that look the same.

    Args:
        character: One character.
    """
    return f"{code_point(character)} {unicodedata.name(character, '')}".strip()


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
