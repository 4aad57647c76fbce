"""Tests of the loss and its targets."""

from __future__ import annotations

from lpv_mmocr.models import CPAModuleLoss
from lpv_mmocr.models.encoded_words import EncodedWords, LabelEncoding

import pytest
import torch
from lpv_cases import DICTIONARY, word_sample
from mmengine.logging import MMLogger
from mmocr.registry import MODELS

START, END = 36, 37


def _loss(**overrides) -> CPAModuleLoss:
    return MODELS.build({"type": "CPAModuleLoss", "dictionary": DICTIONARY, **overrides})


def _targets(text: str, **overrides) -> list[int]:
    (sample,) = _loss(**overrides).get_targets([word_sample(text)])
    return sample.gt_text.padded_indexes.tolist()


@pytest.mark.parametrize(
    ("text", "characters"),
    [
        ("1a", [1, 10]),
        ("1A", [1, 10]),  # lower-cased
        ("it's", [18, 29, 28]),  # the apostrophe is dropped
        ("É", []),  # counts as the empty word
        ("", []),
    ],
)
def test_targets_are_start_characters_end_and_padding(text, characters):
    expected = [START, *characters, END]
    assert _targets(text) == expected + [START] * (27 - len(expected))


def test_longest_word_fills_every_position():
    assert _targets("z" * 25) == [START] + [35] * 25 + [END]


@pytest.mark.parametrize("text", ["z" * 26, "z" * 25 + "!"])
def test_too_long_labels_are_ignored(text):
    """Length is that of the raw label, before characters are dropped."""
    assert _targets(text) == [START] * 27


def test_label_lengthened_by_lower_casing_is_encoded():
    # The lower case of "İ" is two characters, of which the dictionary has one.
    assert _targets("İ" * 25) == [START] + [18] * 25 + [END]


def test_unknown_class_is_used_if_the_dictionary_has_one():
    dictionary = dict(DICTIONARY, with_unknown=True)
    assert _targets("a!", dictionary=dictionary)[:4] == [START, 10, 38, END]


def test_max_seq_len_and_letter_case_are_respected():
    dictionary = dict(type="CharacterDictionary", characters="aA")
    targets = _targets("aAb", dictionary=dictionary, letter_case="unchanged", max_seq_len=4)
    assert targets == [2, 0, 1, 3, 2, 2]


def test_too_long_label_is_reported_with_the_name_of_its_sample(monkeypatch):
    said = []
    monkeypatch.setattr(MMLogger, "warning", lambda self, message: said.append(message))
    for meta in (dict(sample_key="a:1", img_path="p"), dict(sample_key=None, img_path="p"), {}):
        sample = word_sample("z" * 26)
        sample.set_metainfo(meta)
        _loss().get_targets([sample])
    names = [message.partition(": the label 'zz")[0] for message in said]
    assert names == ["a:1", "p", "a sample"]


def test_characters_missing_from_dictionary_are_warned_of_once(monkeypatch):
    said = []
    monkeypatch.setattr(MMLogger, "warning", lambda self, message: said.append(message))
    loss = _loss()
    loss.get_targets([word_sample("ab"), word_sample("a-b"), word_sample("a.b")])
    (message,) = said
    assert "the label 'a-b' has the character '-', which the dictionary lacks" in message


def test_ignored_positions_have_no_gradient():
    loss = _loss()
    samples = loss.get_targets([word_sample("ab"), word_sample("x" * 30)])
    logits = torch.rand(2, 2, 27, 38, requires_grad=True)
    loss(dict(logits=logits), samples)["loss_cpa"].backward()
    counted = logits.grad.abs().sum(-1) > 0
    expected = torch.zeros(2, 2, 27, dtype=torch.bool)
    expected[:, 0, 1:4] = True  # a, b, [s]
    assert torch.equal(counted, expected)


def test_batch_of_too_long_words_has_zero_loss():
    loss = _loss()
    samples = loss.get_targets([word_sample("x" * 30)])
    logits = torch.rand(1, 1, 27, 38, requires_grad=True)
    value = loss(dict(logits=logits), samples)["loss_cpa"]
    value.backward()
    assert value == 0
    assert not logits.grad.any()


def test_mean_is_over_positions_not_over_words():
    loss = _loss()
    samples = loss.get_targets([word_sample("abc"), word_sample("")])
    logits = torch.rand(3, 2, 27, 38)
    log_probs = logits.log_softmax(-1)
    terms = [
        -log_probs[s, n, t, c]
        for s in range(3)
        for n, t, c in [(0, 1, 10), (0, 2, 11), (0, 3, 12), (0, 4, END), (1, 1, END)]
    ]
    torch.testing.assert_close(
        loss(dict(logits=logits), samples)["loss_cpa"], torch.stack(terms).mean()
    )


@pytest.mark.parametrize("missing", ["with_start", "with_end"])
def test_dictionary_needs_start_and_end(missing):
    with pytest.raises(ValueError, match="with_start=True and with_end=True"):
        _loss(dictionary={**DICTIONARY, missing: False})


def test_start_and_end_must_differ():
    with pytest.raises(ValueError, match="CPAModuleLoss needs a start and an end class"):
        _loss(dictionary=dict(DICTIONARY, same_start_end=True))


def test_encoded_words_may_be_on_another_device():
    words = EncodedWords(torch.zeros(2, 27, dtype=torch.int64), torch.arange(2))
    losses = _loss()(dict(logits=torch.empty(3, 2, 27, 38, device="meta")), words)
    assert losses["loss_cpa"].device.type == "meta"


@pytest.mark.parametrize(
    "other",
    [
        dict(letter_case="upper"),
        dict(max_seq_len=20),
        dict(dictionary={**DICTIONARY, "characters": "0123456789"}),
    ],
)
def test_words_encoded_with_other_settings_are_refused(other):
    targets = torch.zeros(2, 27, dtype=torch.int64)
    words = EncodedWords(targets, torch.arange(2), LabelEncoding.of(_loss()))
    assert _loss().get_targets(words) is words
    with pytest.raises(ValueError, match=r"give dataset\.loss of the train_dataloader"):
        _loss(**other).get_targets(words)


def test_targets_of_another_loss_are_replaced():
    (sample,) = _loss().get_targets([word_sample("a")])
    other = _loss(max_seq_len=3, letter_case="upper")
    (again,) = other.get_targets([sample])
    expected = other.get_targets([word_sample("a")])[0].gt_text.padded_indexes
    assert torch.equal(again.gt_text.padded_indexes, expected)
    marked = word_sample("a")
    marked.set_metainfo(dict(have_target=True))  # by a loss of MMOCR
    assert len(_loss().get_targets([marked])[0].gt_text.padded_indexes) == 27


def test_targets_that_do_not_fit_the_logits_are_refused():
    samples = _loss(max_seq_len=3).get_targets([word_sample("a")])
    with pytest.raises(ValueError, match=r"targets of \(1, 5\) .* logits of \(1, 27\)"):
        _loss()(dict(logits=torch.zeros(3, 1, 27, 38)), samples)


def test_batch_without_words_has_no_loss():
    assert _loss()(dict(logits=torch.zeros(3, 0, 27, 38)), [])["loss_cpa"] == 0


def test_unknown_letter_case_is_refused():
    with pytest.raises(ValueError, match="letter_case must be lower, upper or unchanged"):
        CPAModuleLoss(DICTIONARY, letter_case="Lower")
