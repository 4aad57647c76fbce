"""Reading images of words, in Python and from the command line."""

from .reading import Reading
from .word_reader import WordReader, read

__all__ = ["Reading", "WordReader", "read"]
