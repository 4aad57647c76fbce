"""Tests of the attention records of a batch."""

from __future__ import annotations

from lpv_mmocr.models import CPAPostprocessor
from lpv_mmocr.models.attention_record import attention_records

import numpy as np
import pytest
import torch
from lpv_cases import build_toy, word_sample

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


def test_padding_class_moves_to_the_end():
    dictionary = dict(type="CharacterDictionary", characters="abc", with_padding=True)
    padding = 5
    padded = CPAPostprocessor(dictionary, max_seq_len=POSITIONS - 2)
    assert padded.dictionary.padding_idx == padding
    made = record((START, A, padding, B, END, END), padded)
    assert made.stage_texts == ["ab"]
    np.testing.assert_array_equal(made.attn_maps[0, :, 1, 2], [0, 1, 3, 4, 5, 2])


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


def test_bad_samples_read_nothing_in_any_stage():
    model = build_toy(keep_attention=True).eval()
    bad, good = word_sample(), word_sample()
    bad.set_metainfo(dict(bad_sample=True))
    model.predict(torch.rand(2, 3, 16, 40), [bad, good])
    assert bad.pred_text.item == ""
    assert bad.pred_attention.stage_texts == [""] * 3
    assert bad.pred_attention.stage_scores == [[0.0]] * 3
    assert good.pred_attention.stage_texts[-1] == good.pred_text.item
