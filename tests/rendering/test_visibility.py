from __future__ import annotations

from lpv_mmocr.rendering.visibility import is_visible, text_visibility

import cv2
import numpy as np
import pytest


def scene(ink=(200, 40, 40), ground=(40, 40, 40)):
    mask = np.zeros((32, 120), np.uint8)
    cv2.putText(mask, "HELLO", (6, 25), cv2.FONT_HERSHEY_SIMPLEX, 0.9, 255, 2)
    image = np.where(mask[:, :, None] > 127, np.uint8(ink), np.uint8(ground))
    return image, mask


def test_contrast_is_the_colour_distance():
    image, mask = scene((200, 200, 200), (80, 80, 80))
    contrast, likeness = text_visibility(image, mask, 5)
    assert contrast == pytest.approx(np.full(len(contrast), 120), rel=0.12)
    assert (likeness > 0.9).all()


def test_contrast_in_colour_alone_is_enough():
    red, green = np.array([150, 60, 60]), np.array([60, 106, 60])
    assert is_visible(*scene(red, green), 5, 16)


def test_text_without_contrast_is_invisible():
    image, mask = scene((90, 90, 90), (88, 88, 88))
    assert not is_visible(image, mask, 5, 16)
    assert not is_visible(np.full_like(image, 7), mask, 5, 16)
    assert not is_visible(image, np.zeros_like(mask), 5, 16)


def test_a_vanished_letter_is_noticed():
    image, mask = scene()
    assert is_visible(image, mask, 5, 16)
    image[:, 48:72] = 40
    assert not is_visible(image, mask, 5, 16)


def test_a_vanished_letter_of_a_long_word_is_noticed():
    """The other eleven are more than 85 %."""
    image, mask = (np.concatenate([part] * 3, axis=1) for part in scene())
    assert is_visible(image, mask, 15, 16)
    image[:, 48:72] = 40
    assert not is_visible(image, mask, 15, 16)


def test_noise_and_blur_make_text_invisible():
    image, mask = scene((150, 150, 150), (90, 90, 90))
    assert is_visible(image, mask, 5, 16)
    noise = np.random.default_rng(0).normal(0, 150, image.shape)
    drowned = np.clip(image + noise, 0, 255).astype(np.uint8)
    assert not is_visible(drowned, mask, 5, 16)
    assert not is_visible(cv2.GaussianBlur(image, (0, 0), 12), mask, 5, 16)
