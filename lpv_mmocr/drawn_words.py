"""Words drawn with OpenCV's built-in letters, which need no font and are the same everywhere."""

from __future__ import annotations

import cv2
import numpy as np

IMAGE_SIZE = (32, 100)
"""Height and width of an image, typical of words in MJSynth."""

_ALPHABET = np.array(list("0123456789abcdefghijklmnopqrstuvwxyz"))
_WORD_LENGTHS = (3, 12)


def random_words(number: int, seed: int = 0) -> list[str]:
    """Return random words of 3 to 12 digits and lower-case letters.

    Args:
        number: Number of words.
        seed: Seed; the same seed gives the same words.
    """
    rng = np.random.default_rng(seed)
    lengths = rng.integers(_WORD_LENGTHS[0], _WORD_LENGTHS[1] + 1, number)
    return ["".join(rng.choice(_ALPHABET, length)) for length in lengths]


def draw_word(word: str, rng: np.random.Generator) -> np.ndarray:
    """Return an image of a word on a shaded, noisy background, (H, W, 3) uint8, BGR.

    Args:
        word: Word to draw.
        rng: Source of the noise.
    """
    height, width = IMAGE_SIZE
    image = np.linspace(90, 220, width)[None, :, None] + rng.normal(0, 6, (height, width, 3))
    image = image.clip(0, 255).astype(np.uint8)
    scale = 0.9 * width / cv2.getTextSize(word, cv2.FONT_HERSHEY_DUPLEX, 1.0, 1)[0][0]
    origin = (4, height * 3 // 4)
    cv2.putText(image, word, origin, cv2.FONT_HERSHEY_DUPLEX, min(scale, 0.9), (50, 30, 20), 1)
    return image
