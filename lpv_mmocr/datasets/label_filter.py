"""What a training label must look like, and what becomes of the rest of it."""

from __future__ import annotations

import string
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property

ALPHANUMERIC = string.digits + string.ascii_lowercase
"""The 36 characters of the published models, in the order of their classes."""


@dataclass(frozen=True, kw_only=True)
class LabelFilter:
    """The filter of the released training code, with options that it does not use.

    The order is part of the definition: words whose *raw* label is too long are left out first;
    what stays is lower-cased; then characters outside the set are dropped. A label that this
    empties stays, and teaches the model to read nothing. Optional steps sit between: white space
    goes before Unicode is normalised, and both before lower-casing.

    Attributes:
        max_length: Longest raw label in characters (not bytes); ``None`` for no limit. A label
            that normalisation makes longer than this is left out too.
        charset: Characters that labels may hold; ``None`` for all.
        case_sensitive: Keep upper case instead of lower-casing.
        reject_unknown: Leave a word out when its label has a character outside ``charset``,
            instead of dropping the character.
        normalise_unicode: Decompose characters (NFKD), so that an accented letter ends as the
            plain letter once ``charset`` has dropped its accent.
        remove_whitespace: Take white space out of labels.
        min_image_side: Leave out pictures with a side shorter than this, in pixels; 0 for none.

    Raises:
        ValueError: If an option is of the wrong kind, out of range or contradicts another.
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
        """Build a filter from what a config can hold.

        Args:
            config: A filter, the options that differ from the released filter, or ``None`` for
                the released filter itself.

        Raises:
            TypeError: If ``config`` has an option that does not exist.
        """
        if isinstance(config, cls):
            return config
        options = dict(config or {})
        unknown = sorted(set(options) - set(cls.__dataclass_fields__))
        if unknown:
            raise TypeError(
                f"label_filter has no option {', '.join(map(repr, unknown))}; "
                f"there are {', '.join(cls.__dataclass_fields__)}"
            )
        return cls(**options)

    @cached_property
    def _allowed(self) -> frozenset[str] | None:
        return None if self.charset is None else frozenset(self.charset)

    @property
    def rejects_samples(self) -> bool:
        """Whether any word can be left out, so that an index of the others is needed."""
        return self.max_length is not None or self.reject_unknown or self.min_image_side > 0

    @property
    def options(self) -> dict:
        """The options as plain values: what a cached index depends on."""
        return asdict(self)

    def __call__(self, raw: str) -> str | None:
        """Turn a raw label into the text to train on.

        Args:
            raw: The label as the data set has it.

        Returns:
            The text, possibly empty, or ``None`` where the word is to be left out.
        """
        if self.max_length is not None and len(raw) > self.max_length:
            return None
        text = raw
        if self.remove_whitespace:
            text = "".join(text.split())
        if self.normalise_unicode:
            text = unicodedata.normalize("NFKD", text)
        if not self.case_sensitive:
            text = text.lower()
        if self._allowed is not None and not self._allowed.issuperset(text):
            if self.reject_unknown:
                return None
            text = "".join(character for character in text if character in self._allowed)
        if self.max_length is not None and len(text) > self.max_length:
            return None
        return text

    def accepts_label(self, raw: bytes) -> bool:
        """Whether a stored label passes; the quick form of calling the filter.

        A label that is not UTF-8 passes: it is judged, counted and named when it is read.

        Args:
            raw: The label as stored, in UTF-8.
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
        """Whether a stored label passes and has nothing left, though it has letters.

        Args:
            raw: The label as stored, in UTF-8; one of ASCII is not looked at.
        """
        if raw.isascii():
            return False
        try:
            label = raw.decode("utf-8")
        except UnicodeDecodeError:
            return False
        return self(label) == "" and any(map(str.isalnum, label))

    def accepts_size(self, width: int, height: int) -> bool:
        """Whether a picture of this size, in pixels, is large enough."""
        return min(width, height) >= self.min_image_side
