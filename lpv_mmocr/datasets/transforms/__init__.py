"""Transforms of word images."""

from .loading import decode_image
from .packing import PackWordInputs
from .text_augment import TextAugment
from .word_image import LoadWordImage
from .word_look import WordLook

__all__ = ["LoadWordImage", "PackWordInputs", "TextAugment", "WordLook", "decode_image"]
