"""Tests that letter boxes agree with the ink that the renderer drew."""

from __future__ import annotations

import numpy as np
import pytest

ALWAYS = dict(min_contrast=1.0, text_height=(30.0, 40.0), cut_prob=0.0)


@pytest.mark.parametrize(
    "effects",
    [
        {},
        dict(spacing_prob=1.0),
        dict(jitter_prob=1.0),
        dict(curve_prob=1.0),
        dict(perspective_prob=1.0),
        dict(steep_prob=1.0, rotation_max=60.0),
        dict(quarter_turn_prob=1.0),
    ],
    ids=lambda effects: next(iter(effects), "plain"),
)
def test_boxes_together_span_the_ink_of_the_word(make_renderer, effects):
    renderer = make_renderer("full", low=2, high=9, hollow_prob=0.0, **ALWAYS, **effects)
    gaps = []
    for index in range(25):
        word = renderer(1, index)
        boxes = word.letters.boxes()
        assert boxes.shape == (len(word.label), 4)
        rows, columns = np.nonzero(word.mask > 16)
        ink = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        near, far = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
        gaps.append(np.abs(np.concatenate([near, far]) - ink))
    assert np.median(gaps) < 0.8
    assert np.percentile(gaps, 98) < 2.5  # pixels


def test_every_letter_has_its_own_ink(make_renderer):
    """With wide spacing, the columns between boxes are empty, and the boxes are not."""
    renderer = make_renderer(
        "easy", charset="abcdefghijk", low=3, high=8, **ALWAYS, spacing_prob=1.0,
        spacing=(0.6, 0.8), perspective_prob=0.0, curve_prob=0.0, steep_prob=0.0,
        rotation_std=0.0, shear=0.0, neighbour_prob=0.0,
    )  # fmt: skip
    for index in range(10):
        word = renderer(2, index)
        boxes = word.letters.boxes()
        assert np.all(np.diff(boxes[:, 0]) > 0)
        for x1, y1, x2, y2 in boxes:
            inside = word.mask[int(y1) : int(np.ceil(y2)), int(x1) : int(np.ceil(x2))]
            assert inside.max() > 100, word.label
        between = zip(boxes[:-1, 2] + 1, boxes[1:, 0] - 1, strict=True)
        for left, right in between:
            columns = word.mask[:, int(np.ceil(left)) : int(right)]
            assert columns.size == 0 or columns.max() < 40, word.label
