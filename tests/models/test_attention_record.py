"""Tests of the attention records of a batch."""

from __future__ import annotations

from lpv_mmocr.models import CPAPostprocessor
from lpv_mmocr.models.attention_record import attention_records

import numpy as np
import pytest
import torch

A, B, C, START, END, UNKNOWN = range(6)
POSITIONS = 6


@pytest.fixture
def postprocessor():
    dictionary = dict(
        type="CharacterDictionary", characters="abc", with_unknown=True, unknown_token="<UKN>"
    )
    return CPAPostprocessor(dictionary, max_seq_len=POSITIONS - 2)


def record(classes, postprocessor):
    """Return a record of one stage and a GLRM whose maps and relations hold position numbers."""
    probs = torch.full((1, POSITIONS, 6), 0.01)
    probs[0, range(POSITIONS), classes] = torch.linspace(0.9, 0.5, POSITIONS)
    numbers = torch.arange(POSITIONS, dtype=torch.float32)
    maps = numbers.view(1, -1, 1, 1).expand(1, -1, 2, 3)
    relations = (10 * numbers[:, None] + numbers)[None]
    (made,) = attention_records([probs], [maps], [relations], postprocessor)
    return made


@pytest.mark.parametrize(
    ("classes", "text", "order"),
    [
        ((START, A, B, END, END, END), "ab", [0, 1, 2, 3, 4, 5]),
        ((A, B, C, A, B, C), "bcabc", [0, 1, 2, 3, 4, 5]),  # no end class
        ((START, A, START, B, END, START), "ab", [0, 1, 3, 4, 2, 5]),
        ((START, START, END, END, END, END), "", [0, 2, 3, 4, 5, 1]),
        ((START, A, UNKNOWN, B, END, END), "a\ufffdb", [0, 1, 2, 3, 4, 5]),
    ],
    ids=["plain", "no end", "start inside", "start in nothing", "unknown"],
)
def test_maps_after_map_0_follow_the_characters(classes, text, order, postprocessor):
    made = record(classes, postprocessor)
    assert made.stage_texts == [text]
    np.testing.assert_array_equal(made.attn_maps[0, :, 1, 2], order)
    expected = 10 * np.array(order)[:, None] + order
    np.testing.assert_array_equal(made.relations[0], expected)
    scores = np.linspace(0.9, 0.5, POSITIONS)[order[1 : max(len(text), 1) + 1]]
    assert made.stage_scores[0] == pytest.approx(scores)
