"""Word rendering: training images and labels, generated from fonts and word lists."""

from .config import PRESETS, RenderConfig, preset
from .dataset import RenderedWordDataset
from .fonts import FontLibrary
from .renderer import RenderedWord, WordRenderer
from .word_list import WordList, default_words, read_words
from .words import TextSampler, resolve_charset

__all__ = [
    "PRESETS",
    "FontLibrary",
    "RenderConfig",
    "RenderedWord",
    "RenderedWordDataset",
    "TextSampler",
    "WordList",
    "WordRenderer",
    "default_words",
    "preset",
    "read_words",
    "resolve_charset",
]
