"""Weighted word lists: from a file, from the wordfreq package, or bundled with this one."""

from __future__ import annotations

import hashlib
import math
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path

import numpy as np

from .layout import layout_fault

WORDFREQ_WORDS = 150_000
BUILT_IN = "signage_words.txt"
LEFT_OUT_STEMS = "left_out_stems.txt"


@dataclass(frozen=True)
class WordList:
    """Words and their relative frequencies.

    Attributes:
        words: The words.
        weights: One positive weight per word.
        source: Origin of the words, for messages and data cards.
    """

    words: tuple[str, ...]
    weights: tuple[float, ...]
    source: str = "words"

    def __len__(self) -> int:
        """Return the number of words."""
        return len(self.words)

    def __getitem__(self, index: int) -> str:
        """Return the word at an index."""
        return self.words[index]

    def filtered(self, keep: Callable[[str], bool]) -> WordList:
        """Return the words for which ``keep`` is true."""
        kept = [index for index, word in enumerate(self.words) if keep(word)]
        return WordList(
            tuple(self.words[index] for index in kept),
            tuple(self.weights[index] for index in kept),
            self.source,
        )

    def digest(self) -> str:
        """Return a short hash of words and weights."""
        return hashlib.sha1(self.to_text().encode(), usedforsecurity=False).hexdigest()

    def to_text(self) -> str:
        """Return the list in the format that :func:`read_words` reads."""
        rows = zip(self.words, self.weights, strict=True)
        return "".join(f"{word}\t{weight!r}\n" for word, weight in rows)

    def cumulative(self, power: float) -> np.ndarray:
        """Return the cumulative sum of ``weight ** power``, for drawing."""
        return np.cumsum(np.asarray(self.weights, np.float64) ** power)


def read_words(path: str | Path) -> WordList:
    """Read a word list: one word per line, optionally followed by a tab and a weight.

    Lines that are empty or start with ``# `` are ignored. Words are converted to Unicode normal
    form C, where an accented letter is one character.

    Args:
        path: UTF-8 text file.

    Returns:
        The words; weight 1 where none is given, and the weights of repeated words added up.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not UTF-8, a weight is not a positive number, a word contains
            white space or a character that needs a layout engine, or there are no words at all.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"word list {path} {'is a folder' if path.is_dir() else 'does not exist'}"
        )
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"word list {path} is not UTF-8 ({error})") from error
    return _parse(lines, str(path))


def _parse(lines: Iterable[str], source: str) -> WordList:
    weights: dict[str, float] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("# "):
            continue
        word, _, weight = line.partition("\t")
        word = unicodedata.normalize("NFC", word.strip())
        try:
            value = float(weight) if weight.strip() else 1.0
        except ValueError:
            value = 0.0
        if not (value > 0 and math.isfinite(value)):
            raise ValueError(f"{source}, line {number}: weight {weight!r} is not a positive number")
        if not word:
            raise ValueError(f"{source}, line {number}: there is no word before the weight")
        if any(char.isspace() for char in word):
            raise ValueError(
                f"{source}, line {number}: {word!r} holds white space; give one word per line"
            )
        fault = layout_fault(word)
        if fault:
            raise ValueError(
                f"{source}, line {number}: {word!r} contains {fault}; that needs a layout engine: "
                "remove such words"
            )
        weights[word] = weights.get(word, 0.0) + value
    if not weights:
        raise ValueError(f"word list {source} holds no word")
    return WordList(tuple(weights), tuple(weights.values()), source)


def _packaged(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def built_in_words() -> WordList:
    """Return the list bundled with the package: words of signs, shops, streets and products.

    The list begins with the most common words; the weight falls with a word's rank, as in running
    text (Zipf's law).
    """
    words = list(dict.fromkeys(_packaged(BUILT_IN).split()))
    return WordList(
        tuple(words), tuple(1.0 / (rank + 10) for rank in range(len(words))), "built-in list"
    )


@lru_cache(maxsize=1)
def wordfreq_words() -> WordList:
    """Return the most common English words according to the wordfreq package.

    Words that contain a vulgar stem are left out, whatever else they mean, because images of
    words are shown to people. So are words that need a layout engine, hold white space or "00".

    Raises:
        ImportError: If wordfreq is not installed.
    """
    import wordfreq

    stems = _packaged(LEFT_OUT_STEMS).split()
    words = [
        word
        for word in wordfreq.top_n_list("en", WORDFREQ_WORDS)
        if not any(map(str.isspace, word))
        and "00" not in word  # wordfreq replaces all digits of a number by zeros
        and not layout_fault(word)
        and not any(stem in word.lower() for stem in stems)
    ]
    weights = tuple(max(wordfreq.word_frequency(word, "en"), 1e-9) for word in words)
    return WordList(tuple(words), weights, f"wordfreq, {WORDFREQ_WORDS} commonest English words")


def default_words() -> WordList:
    """Return wordfreq's words if that package is installed, otherwise the built-in list."""
    try:
        return wordfreq_words()
    except ImportError:
        return built_in_words()
