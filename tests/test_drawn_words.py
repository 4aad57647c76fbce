from __future__ import annotations

from lpv_mmocr.drawn_words import IMAGE_SIZE, draw_word, random_words

import numpy as np


def test_random_words_are_alphanumeric_and_seeded():
    words = random_words(200)
    assert {len(word) for word in words} == set(range(3, 13))
    assert set("".join(words)) == set("0123456789abcdefghijklmnopqrstuvwxyz")
    assert words == random_words(200)
    assert words != random_words(200, seed=1)


def test_complete_word_is_in_the_image():
    """Dark letters reach neither the left nor the right edge, however long the word is."""
    for word in ("ill", "m" * 12):
        image = draw_word(word, np.random.default_rng(0))
        assert image.shape == (*IMAGE_SIZE, 3)
        assert image.dtype == np.uint8
        dark = np.flatnonzero((image < 60).all(2).any(0))
        assert len(dark)
        assert dark[0] > 1
        assert dark[-1] < IMAGE_SIZE[1] - 2
