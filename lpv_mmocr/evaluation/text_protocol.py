"""Protocols that determine which differences between label and reading count."""

from __future__ import annotations

import string
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein

_ALPHANUMERIC = frozenset(string.digits + string.ascii_lowercase)
# The 94 visible characters of a keyboard: string.printable without white space.
_PRINTABLE = frozenset(string.printable[:94])


@dataclass(frozen=True, kw_only=True)
class TextProtocol:
    """Reduction of texts to the characters that are compared.

    Label and reading are reduced in the same way and must then be equal. As in published results,
    case does not count, and only 0-9 and a-z do. MMOCR's ``WordMetric`` intends the same, but its
    filter keeps ``^`` and Chinese characters.

    Attributes:
        case_sensitive: Compare the 94 printable ASCII characters as they are instead; all other
            characters, such as white space and accented letters, still do not count.
    """

    case_sensitive: bool = False

    @property
    def name(self) -> str:
        """Name of the protocol in reports."""
        return "case-sensitive-94" if self.case_sensitive else "case-insensitive-36"

    @property
    def meaning(self) -> str:
        """Description of what is compared."""
        if self.case_sensitive:
            return "the 94 printable ASCII characters are compared, with case"
        return "only 0-9 and a-z are compared, ignoring case"

    def reduce(self, text: str) -> str:
        """Return the characters of a text that count.

        Args:
            text: A label or a reading.
        """
        if self.case_sensitive:
            return "".join(character for character in text if character in _PRINTABLE)
        return "".join(character for character in text.lower() if character in _ALPHANUMERIC)

    def similarity(self, label: str, reading: str) -> float:
        """Return one minus the normalised edit distance of the reduced texts.

        The distance is Levenshtein's, divided by the length of the longer text.

        Args:
            label: The label.
            reading: Text that was read.

        Returns:
            A number from 0 (nothing in common) to 1 (equal, or both empty).
        """
        return Levenshtein.normalized_similarity(self.reduce(label), self.reduce(reading))


class ExactText(TextProtocol):
    """Protocol that counts every character of any script, for evaluators without a protocol."""

    @property
    def name(self) -> str:
        """Name of the protocol in reports."""
        return "exact"

    @property
    def meaning(self) -> str:
        """Description of what is compared."""
        return "all characters are compared"

    def reduce(self, text: str) -> str:
        """Return the text unchanged, since every character counts.

        Args:
            text: A label or a reading.
        """
        return text
