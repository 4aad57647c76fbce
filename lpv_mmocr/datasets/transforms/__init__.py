"""Transforms of word pictures."""

from .loading import decode_image
from .packing import PackWordInputs
from .text_augment import TextAugment
from .word_image import LoadWordImage

__all__ = ["LoadWordImage", "PackWordInputs", "TextAugment", "decode_image"]
