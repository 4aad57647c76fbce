"""Filtering and normalisation of training labels."""

from __future__ import annotations

import string
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import filterfalse

ALPHANUMERIC = string.digits + string.ascii_lowercase
"""The 36 characters of the published models, in the order of their classes."""


@dataclass(frozen=True, kw_only=True)
class LabelFilter:
    """Label filter of the released training code, with further options that are off by default.

    The order is part of the definition: words whose *raw* label is too long are left out first; the
    remaining labels are lower-cased; then characters outside the set are dropped. A label that
    becomes empty stays, and teaches the model to read nothing. Optional steps come in between:
    white space is removed before Unicode is normalised, and both happen before lower-casing.

    Attributes:
        max_length: Maximum length of a raw label in characters (not bytes); ``None`` for no limit.
            A label that normalisation makes longer than this is left out too.
        charset: Characters that labels may hold; ``None`` for all.
        case_sensitive: Keep upper case instead of lower-casing.
        reject_unknown: Leave a word out if its label has a character outside ``charset``, instead
            of dropping the character.
        normalise_unicode: Decompose characters (NFKD), so that an accented letter becomes the plain
            letter once ``charset`` has dropped its accent.
        remove_whitespace: Remove white space from labels.
        min_image_side: Minimum length of the shorter side in pixels; smaller images are left out.
            0 for no limit.

    Raises:
        ValueError: If an option has the wrong type, is out of range or contradicts another.
    """

    max_length: int | None = 25
    charset: str | None = ALPHANUMERIC
    case_sensitive: bool = False
    reject_unknown: bool = False
    normalise_unicode: bool = False
    remove_whitespace: bool = False
    min_image_side: int = 0

    def __post_init__(self) -> None:
        """Check the options."""
        for name, kind, wanted in (
            ("max_length", int | None, "a whole number or None"),
            ("min_image_side", int, "a whole number"),
            ("case_sensitive", bool, "True or False"),
            ("reject_unknown", bool, "True or False"),
            ("normalise_unicode", bool, "True or False"),
            ("remove_whitespace", bool, "True or False"),
        ):
            value = getattr(self, name)
            if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
                raise ValueError(f"{name} of the label filter must be {wanted}, not {value!r}")
        if self.max_length is not None and self.max_length < 1:
            raise ValueError(f"max_length must be at least 1 or None, not {self.max_length}")
        if self.charset is not None and not self.charset:
            raise ValueError("charset is empty; use None to allow every character")
        if self.reject_unknown and self.charset is None:
            raise ValueError("reject_unknown needs a charset to know which characters are unknown")
        if self.min_image_side < 0:
            raise ValueError(f"min_image_side must not be negative, but is {self.min_image_side}")

    @classmethod
    def from_config(cls, config: LabelFilter | Mapping | None) -> LabelFilter:
        """Build a filter from a config value.

        Args:
            config: A filter, the options that differ from the released filter, or ``None`` for
                the released filter itself.

        Raises:
            TypeError: If ``config`` has an option that does not exist.
            ValueError: If an option is wrong.
        """
        if isinstance(config, cls):
            return config
        options = dict(config or {})
        unknown = sorted(set(options) - set(cls.__dataclass_fields__))
        if unknown:
            raise TypeError(
                f"label_filter has no option {', '.join(map(repr, unknown))}; "
                f"the options are {', '.join(cls.__dataclass_fields__)}"
            )
        return cls(**options)

    @cached_property
    def _allowed(self) -> frozenset[str] | None:
        return None if self.charset is None else frozenset(self.charset)

    @cached_property
    def _keeps_ascii(self) -> bool:
        """Whether every ASCII letter and digit stays, so that only symbols can be dropped."""
        kept = ALPHANUMERIC + string.ascii_uppercase * self.case_sensitive
        return self._allowed is None or self._allowed.issuperset(kept)

    @property
    def rejects_samples(self) -> bool:
        """Whether any word can be left out, so that an index of the remaining ones is needed."""
        return self.max_length is not None or self.reject_unknown or self.min_image_side > 0

    @property
    def options(self) -> dict:
        """Options as plain values, on which a cached index depends."""
        return asdict(self)

    def __call__(self, raw: str) -> str | None:
        """Turn a raw label into the text to train on.

        Args:
            raw: Label as stored in the dataset.

        Returns:
            The text, possibly empty, or ``None`` if the word is to be left out.
        """
        if self.max_length is not None and len(raw) > self.max_length:
            return None
        text = self._prepared(raw)
        if self._allowed is not None and not self._allowed.issuperset(text):
            if self.reject_unknown:
                return None
            text = "".join(character for character in text if character in self._allowed)
        if self.max_length is not None and len(text) > self.max_length:
            return None
        return text

    def _prepared(self, raw: str) -> str:
        text = "".join(raw.split()) if self.remove_whitespace else raw
        if self.normalise_unicode:
            text = unicodedata.normalize("NFKD", text)
        return text if self.case_sensitive else text.lower()

    def unknown(self, raw: str) -> str:
        """Return the characters outside ``charset``, without repetitions.

        Args:
            raw: Label as stored in the dataset.
        """
        if self._allowed is None:
            return ""
        return "".join(dict.fromkeys(filterfalse(self._allowed.__contains__, self._prepared(raw))))

    def accepts_label(self, raw: bytes) -> bool:
        """Return whether a stored label passes; faster than calling the filter.

        A label that is not UTF-8 passes: it is counted and logged when it is read.

        Args:
            raw: Label as stored, in UTF-8.
        """
        # UTF-8 never has fewer bytes than characters, and neither dropping nor lower-casing
        # lengthens ASCII: most labels need no decoding.
        if (
            not self.reject_unknown
            and (self.max_length is None or len(raw) <= self.max_length)
            and raw.isascii()
        ):
            return True
        try:
            return self(raw.decode("utf-8")) is not None
        except UnicodeDecodeError:
            return True

    def empties(self, raw: bytes) -> bool:
        """Return whether a label passes but becomes empty, although it has letters or digits.

        Args:
            raw: Label as stored, in UTF-8.
        """
        if raw.isascii() and self._keeps_ascii:
            return False
        try:
            label = raw.decode("utf-8")
        except UnicodeDecodeError:
            return False
        return self(label) == "" and any(map(str.isalnum, label))

    def accepts_size(self, width: int, height: int) -> bool:
        """Return whether an image of this size, in pixels, is large enough."""
        return min(width, height) >= self.min_image_side
