"""Comparison of texts as they are."""

from __future__ import annotations

from ..evaluation import TextProtocol


class ExactText(TextProtocol):
    """Every character counts, of any script: for tests whose evaluator has no text protocol."""

    @property
    def name(self) -> str:
        """What the protocol is called in reports."""
        return "exact"

    def reduce(self, text: str) -> str:
        """The part of a text that counts, which is all of it.

        Args:
            text: A label or a reading.
        """
        return text
