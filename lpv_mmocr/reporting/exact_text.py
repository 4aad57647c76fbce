"""Exact comparison of texts."""

from __future__ import annotations

from ..evaluation import TextProtocol


class ExactText(TextProtocol):
    """Protocol that counts every character of any script, for evaluators without a protocol."""

    @property
    def name(self) -> str:
        """Name of the protocol in reports."""
        return "exact"

    def reduce(self, text: str) -> str:
        """Return the text unchanged, since every character counts.

        Args:
            text: A label or a reading.
        """
        return text
