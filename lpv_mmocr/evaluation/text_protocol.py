"""Which differences between a label and a reading count."""

from __future__ import annotations

import string
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein

_ALPHANUMERIC = frozenset(string.digits + string.ascii_lowercase)
# The 94 characters that can be seen on a keyboard: string.printable without white space.
_PRINTABLE = frozenset(string.printable[:94])


@dataclass(frozen=True, kw_only=True)
class TextProtocol:
    """Reduces texts to what is compared.

    Label and reading are reduced in the same way and then have to be equal. As published results
    have it, case does not count and only 0-9 and a-z do. MMOCR's ``WordMetric`` means the same, but
    its filter keeps ``^`` and Chinese characters.

    Attributes:
        case_sensitive: Compare the 94 printable ASCII characters as they are instead; all other
            characters, such as white space and accented letters, still do not count.
    """

    case_sensitive: bool = False

    @property
    def name(self) -> str:
        """What the protocol is called in reports."""
        return "case-sensitive-94" if self.case_sensitive else "case-insensitive-36"

    def reduce(self, text: str) -> str:
        """The part of a text that counts.

        Args:
            text: A label or a reading.
        """
        if self.case_sensitive:
            return "".join(character for character in text if character in _PRINTABLE)
        return "".join(character for character in text.lower() if character in _ALPHANUMERIC)

    def similarity(self, label: str, reading: str) -> float:
        """One minus the normalised edit distance of the reduced texts.

        The distance is Levenshtein's, divided by the length of the longer text.

        Args:
            label: The label.
            reading: What was read.

        Returns:
            A number from 0 (nothing in common) to 1 (equal, or both empty).
        """
        return Levenshtein.normalized_similarity(self.reduce(label), self.reduce(reading))
