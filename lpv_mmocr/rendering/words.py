"""Text sampling: words by frequency, and other kinds of text that signs show."""

from __future__ import annotations

import string
import unicodedata
from collections.abc import Callable
from functools import partial

import numpy as np

from .config import RenderConfig
from .layout import layout_fault
from .weighted_choice import choose_index
from .word_list import WordList

DRAW_ATTEMPTS = 200
CHARSETS = {
    "digits": string.digits,
    "lower": string.ascii_lowercase,
    "upper": string.ascii_uppercase,
    "letters": string.ascii_letters,
    "alnum": string.digits + string.ascii_letters,
    "printable": string.printable[:94],
}
"""Common character sets, by name."""

CONSONANTS, VOWELS = "bcdfghjklmnpqrstvwxyz", "aeiou"
CURRENCY = "$$$$££€€¥"
ENDINGS = (".", ",", "!", ":", "?", "...", "!!", ";")
ENCLOSURES = ("''", '""', "()", "[]", "''")
DOMAINS = ("com", "com", "com", "org", "net", "co.uk", "de", "sg", "in", "info", "fr", "it")
DAY_NAMES = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")


def resolve_charset(charset: str) -> str:
    """Return the characters of a named set, or the given characters themselves.

    Args:
        charset: Key of :data:`CHARSETS`, or the characters.

    Returns:
        The characters, each once.

    Raises:
        ValueError: If the charset is empty, or contains white space or characters that need a
            layout engine.
    """
    composed = unicodedata.normalize("NFC", CHARSETS.get(charset, charset))
    characters = "".join(dict.fromkeys(composed))
    if not characters or any(char.isspace() for char in characters):
        raise ValueError(
            f"charset must be one of {', '.join(CHARSETS)} or the characters themselves, without "
            f"white space; got {charset!r}"
        )
    fault = layout_fault(characters)
    if fault:
        raise ValueError(f"charset contains {fault}; that needs a layout engine: leave it out")
    return characters


class TextSampler:
    """Sampler of texts within a character set and a range of lengths.

    Args:
        config: Relative frequencies of kinds of text and of upper and lower case.
        words: The words and their weights.
        charset: Allowed characters.
        min_length: Minimum number of characters.
        max_length: Maximum number of characters.

    Raises:
        ValueError: If the lengths are not a valid range, or no text fits them and the charset.
    """

    def __init__(
        self,
        config: RenderConfig,
        words: WordList,
        *,
        charset: str,
        min_length: int = 1,
        max_length: int = 25,
    ) -> None:
        if not 1 <= min_length <= max_length:
            raise ValueError(
                f"lengths must satisfy 1 <= min_length <= max_length, got {min_length} and "
                f"{max_length}"
            )
        self.config = config
        self.charset = charset
        self.allowed = frozenset(charset)
        self.min_length = min_length
        self.max_length = max_length
        self.given = words
        self.words = self._fitting(words)
        self._word_odds = self.words.cumulative(config.frequency_power) if self.words else None
        self._pools = {
            "digits": [char for char in charset if char.isdecimal()],
            "letters": [char for char in charset if char.isalpha()],
            "any": [char for char in charset if char.isalnum()],
            "all": list(charset),
        }
        makers: dict[str, Callable[[np.random.Generator], str]] = {
            "word": self._word,
            "number": self._number,
            "price": self._price,
            "date": self._date,
            "time": self._time,
            "code": self._code,
            "phone": self._phone,
            "web": self._web,
            "random": self._random,
        }
        self._kinds = [(makers[kind], weight) for kind, weight in config.kinds.items() if weight]
        if self._word_odds is None:
            self._kinds = [item for item in self._kinds if item[0] != self._word]
        if not self._kinds:
            raise ValueError(
                f"none of the words fits the charset and lengths {min_length} to {max_length}, "
                "and no other kind of text is requested"
            )
        self._kind_odds = np.cumsum([weight for _, weight in self._kinds])
        self._case_names = list(config.cases)
        self._case_odds = np.cumsum(list(config.cases.values()))
        trial = np.random.default_rng(0)
        if not any(
            self.accepts(make(trial)) for make, _ in self._kinds for _ in range(DRAW_ATTEMPTS)
        ):
            raise ValueError(
                f"none of {DRAW_ATTEMPTS} texts of each kind ({', '.join(config.kinds)}) kept to "
                f"the charset and lengths {min_length} to {max_length}"
            )

    def _fitting(self, words: WordList) -> WordList:
        as_listed = {case for case, weight in self.config.cases.items() if weight} == {"listed"}

        def fits(word: str) -> bool:
            # Some upper-case forms are longer ("ß" becomes "SS") and are not drawn.
            forms = (word,) if as_listed else (word, word.upper(), word.lower())
            forms = (form for form in forms if len(form) == len(word))
            return self.min_length <= len(word) <= self.max_length and any(
                map(self.allowed.issuperset, forms)
            )

        return words.filtered(fits)

    def __call__(self, rng: np.random.Generator) -> str:
        """Draw one text.

        Args:
            rng: Source of randomness.

        Returns:
            The text, within the character set and the lengths.
        """
        for _ in range(DRAW_ATTEMPTS):
            text = self._kinds[choose_index(rng, self._kind_odds)][0](rng)
            if self.accepts(text):
                return text
        return self._random(rng)

    def accepts(self, text: str) -> bool:
        """Return whether a text fits the lengths and the character set."""
        return self.min_length <= len(text) <= self.max_length and self.allowed.issuperset(text)

    def _word(self, rng: np.random.Generator) -> str:
        word = self._cased(rng, self._plain_word(rng))
        if rng.random() < self.config.compound_prob:
            other = self._plain_word(rng)
            joint = ("", "-", "-", "&", "/")[rng.integers(5)]
            if word.isupper():
                other = other.upper()
            word = f"{word}{joint}{other if joint else other[:1].upper() + other[1:]}"
        if rng.random() < self.config.punctuation_prob:
            word = self._punctuated(rng, word)
        return word

    def _plain_word(self, rng: np.random.Generator) -> str:
        return self.words[choose_index(rng, self._word_odds)]

    def _cased(self, rng: np.random.Generator, word: str) -> str:
        """Put a word into one of the cases; redraw forms outside the charset."""
        if word.upper() == word.lower():
            return word
        for _ in range(8):
            name = self._case_names[choose_index(rng, self._case_odds)]
            if name == "upper":
                form = word.upper()
            elif name == "title":
                form = word[:1].upper() + word[1:]
            elif name == "listed":
                form = word
            elif name == "mixed":
                upper = rng.random(len(word)) < 0.5
                form = "".join(
                    char.upper() if up else char.lower()
                    for char, up in zip(word, upper, strict=True)
                )
            else:
                form = word.lower()
            if len(form) == len(word) and self.allowed.issuperset(form):
                return form
        return word

    def _punctuated(self, rng: np.random.Generator, word: str) -> str:
        choice = rng.random()
        if choice < 0.55:
            return word + ENDINGS[rng.integers(len(ENDINGS))]
        if choice < 0.75 and _is_latin(word[-1]):
            return word + ("'S" if word.isupper() else "'s")
        first, last = ENCLOSURES[rng.integers(len(ENCLOSURES))]
        # Often only one half of a pair is inside the box of a word.
        side = rng.random()
        return (first if side < 0.7 else "") + word + (last if side > 0.3 else "")

    def _digits(self, rng: np.random.Generator, low: int, high: int) -> str:
        count = int(rng.integers(low, high + 1))
        pool = self._pools["digits"] or list(string.digits)
        return "".join(pool[index] for index in rng.integers(len(pool), size=count))

    def _number(self, rng: np.random.Generator) -> str:
        longest = min(self.max_length, 10)
        shortest = min(self.min_length, longest)
        # Short numbers are by far the most common: a roughly geometric draw.
        length = shortest + int((longest - shortest + 1) * rng.random() ** 2)
        digits = self._digits(rng, length, length)
        if length > 3 and rng.random() < 0.15:
            return f"{int(digits):,}"
        return digits

    def _price(self, rng: np.random.Generator) -> str:
        whole = self._digits(rng, 1, 3).lstrip("0") or "1"
        cents = ("", ".00", ".99", ".50", ".95", "." + self._digits(rng, 2, 2))[rng.integers(6)]
        sign = CURRENCY[rng.integers(len(CURRENCY))]
        style = rng.integers(5)
        if style == 0:
            return f"{whole}%"
        if style == 1:
            return f"{whole}{cents or '.90'}"
        return f"{sign}{whole}{cents}"

    def _date(self, rng: np.random.Generator) -> str:
        day, month = int(rng.integers(1, 32)), int(rng.integers(1, 13))
        year = int(rng.integers(1880, 2030))
        mark = "/.-"[rng.integers(3)]
        style = rng.integers(6)
        if style == 0:
            return str(year)
        if style == 1:
            return f"{year}-{month:02d}-{day:02d}"
        if style == 2:
            return f"{day}{mark}{month}"
        if style == 3:
            return f"{day}{_ordinal_ending(day)}"
        if style == 4:
            return (
                DAY_NAMES[rng.integers(7)] + ("", "-" + DAY_NAMES[rng.integers(7)])[rng.integers(2)]
            )
        return f"{day:02d}{mark}{month:02d}{mark}{year % 100 if rng.random() < 0.5 else year:02d}"

    def _time(self, rng: np.random.Generator) -> str:
        hour, minute = int(rng.integers(0, 24)), int(rng.integers(0, 12)) * 5
        suffix = ("am", "pm", "AM", "PM")[rng.integers(4)]
        style = rng.integers(5)
        if style == 0:
            return f"{hour % 12 or 12}{suffix}"
        if style == 1:
            return f"{hour % 12 or 12}:{minute:02d}{suffix}"
        if style == 2:
            return f"{hour % 12 or 12}-{(hour + 8) % 12 or 12}"
        if style == 3:
            return f"{hour}.{minute:02d}"
        return f"{hour:02d}:{minute:02d}"

    def _code(self, rng: np.random.Generator) -> str:
        letters = partial(self._letters, rng)
        style = rng.integers(7)
        if style == 0:
            return f"#{self._digits(rng, 2, 2)}-{self._digits(rng, 2, 3)}"
        if style == 1:
            return f"{letters(1, 2)}{self._digits(rng, 1, 4)}"
        if style == 2:
            return f"{self._digits(rng, 1, 3)}{letters(1, 1)}"
        if style == 3:
            return f"{letters(2, 4)}-{self._digits(rng, 1, 4)}"
        if style == 4:
            return f"{letters(2, 3)}{self._digits(rng, 2, 4)}{letters(1, 1)}"
        if style == 5:
            return f"{self._digits(rng, 1, 3)}-{self._digits(rng, 1, 4)}"
        return ".".join(letters(1, 1) for _ in range(rng.integers(2, 4))) + "."

    def _letters(self, rng: np.random.Generator, low: int, high: int) -> str:
        count = int(rng.integers(low, high + 1))
        return "".join(string.ascii_uppercase[index] for index in rng.integers(26, size=count))

    def _phone(self, rng: np.random.Generator) -> str:
        style = rng.integers(4)
        if style == 0:
            return f"{self._digits(rng, 3, 3)}-{self._digits(rng, 4, 4)}"
        if style == 1:
            return f"({self._digits(rng, 3, 3)}){self._digits(rng, 3, 3)}-{self._digits(rng, 4, 4)}"
        if style == 2:
            return f"+{self._digits(rng, 8, 12)}"
        return self._digits(rng, 7, 11)

    def _web(self, rng: np.random.Generator) -> str:
        if self._word_odds is None:
            return self._random(rng)
        domain = DOMAINS[rng.integers(len(DOMAINS))]
        site = f"{self._plain_word(rng)}.{domain}".lower()
        style = rng.integers(4)
        if style == 0:
            return f"{self._plain_word(rng)}@{site}".lower()
        if style == 1:
            return f"www.{site}"
        return site.upper() if style == 2 and rng.random() < 0.5 else site

    def _random(self, rng: np.random.Generator) -> str:
        """Return a random string: pronounceable, letters, letters and digits, or any characters."""
        longest = min(self.max_length, max(self.min_length, 12))
        length = int(rng.integers(self.min_length, longest + 1))
        if rng.random() < 0.4:
            pieces = (CONSONANTS, VOWELS)
            start = int(rng.integers(2))
            text = "".join(
                pieces[(start + k) % 2][rng.integers(len(pieces[(start + k) % 2]))]
                for k in range(length)
            )
            text = self._cased(rng, text)
            if self.allowed.issuperset(text):
                return text
        choice = rng.random()
        # Symbols that no other kind of text contains would never be drawn otherwise.
        name = "letters" if choice < 0.4 else "any" if choice < 0.8 else "all"
        pool = self._pools[name] or self._pools["all"]
        text = "".join(pool[index] for index in rng.integers(len(pool), size=length))
        cased = self._cased(rng, text) if rng.random() < 0.7 else text
        return cased if self.allowed.issuperset(cased) else text


def _is_latin(character: str) -> bool:
    return unicodedata.name(character, "").startswith("LATIN")


def _ordinal_ending(number: int) -> str:
    """Return "st", "nd", "rd" or "th"."""
    if number % 100 in (11, 12, 13):
        return "th"
    return {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
