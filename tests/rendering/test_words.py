from __future__ import annotations

import re
import string
import sys
import types
from collections import Counter

from lpv_mmocr.rendering import TextSampler, WordList, preset, read_words, resolve_charset
from lpv_mmocr.rendering.config import TEXT_KINDS
from lpv_mmocr.rendering.word_list import built_in_words, wordfreq_words

import numpy as np
import pytest

FULL = preset("full")
PRINTABLE = string.printable[:94]


def draw(sampler, count, seed=0):
    rng = np.random.default_rng(seed)
    return [sampler(rng) for _ in range(count)]


@pytest.mark.parametrize(
    ("charset", "low", "high"),
    [("digits", 1, 4), ("lower", 3, 6), ("alnum", 1, 25), ("printable", 8, 12), ("ABC-", 2, 3)],
)
def test_texts_keep_to_charset_and_lengths(charset, low, high):
    characters = resolve_charset(charset)
    sampler = TextSampler(
        FULL, built_in_words(), charset=characters, min_length=low, max_length=high
    )
    texts = draw(sampler, 1000)
    assert all(low <= len(text) <= high and set(text) <= set(characters) for text in texts)
    lengths = {len(text) for text in texts}
    assert min(lengths) == low
    assert len(lengths) > 1


@pytest.mark.parametrize("kind", TEXT_KINDS)
def test_every_kind_of_text_matches_its_pattern(kind):
    patterns = {
        "word": r"\S+",
        "number": r"[\d,]+",
        "price": r"[$£€¥]?\d+(\.\d\d)?%?",
        "date": r"[\d/.\-]+|\d+(st|nd|rd|th)|[A-Z]{3}(-[A-Z]{3})?",
        "time": r"\d+([:.]\d\d)?([ap]m|[AP]M)?|\d+-\d+",
        "code": r"#?[A-Z\d.\-]+",
        "phone": r"[\d()+\-]+",
        "web": r"(?i)(www\.)?\S+\.[a-z.]+",
        "random": r"\S+",
    }
    charset = PRINTABLE + "£€¥"
    sampler = TextSampler(FULL.replace(kinds={kind: 1.0}), built_in_words(), charset=charset)
    texts = draw(sampler, 300)
    assert len(set(texts)) > 10
    assert [text for text in texts if not re.fullmatch(patterns[kind], text)] == []


def test_words_come_from_the_list():
    """Apart from case, punctuation, a possessive s, and compounds of two words."""
    words = built_in_words()
    sampler = TextSampler(FULL.replace(kinds={"word": 1.0}), words, charset=PRINTABLE)
    pieces = {piece for text in draw(sampler, 300) for piece in re.findall("[a-z]+", text.lower())}
    known = {piece for word in words.words for piece in re.findall("[a-z]+", word.lower())}

    def is_compound(piece):
        return any({piece[:end], piece[end:]} <= known for end in range(1, len(piece)))

    assert len(pieces & known) > 100
    assert [piece for piece in pieces - known - {"s"} if not is_compound(piece)] == []


@pytest.mark.parametrize("charset", [PRINTABLE, "0123456789*#"])
def test_every_character_is_drawn(charset):
    sampler = TextSampler(FULL, built_in_words(), charset=charset)
    assert set("".join(draw(sampler, 20_000))) == set(charset)


def test_word_that_fits_only_as_longer_capitals_is_refused():
    words = WordList(("Straße",), (1.0,))
    with pytest.raises(ValueError, match="none of the words fits the charset"):
        TextSampler(FULL.replace(kinds={"word": 1.0}), words, charset=string.ascii_letters)


@pytest.mark.parametrize(("kind", "charset"), [("phone", string.digits), ("price", "0123ab")])
def test_charset_that_fits_no_text_is_refused(kind, charset):
    config = FULL.replace(kinds={kind: 1.0})
    with pytest.raises(ValueError, match=rf"none of 200 texts of each kind \({kind}\) kept to"):
        TextSampler(config, built_in_words(), charset=charset, max_length=6)


def test_ordinals_are_english():
    sampler = TextSampler(FULL.replace(kinds={"date": 1.0}), built_in_words(), charset=PRINTABLE)
    ordinals = {text for text in draw(sampler, 3000) if re.fullmatch(r"\d+[a-z]+", text)}
    assert {"1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st"} <= ordinals
    assert not {"11st", "12nd", "13rd", "1th"} & ordinals


def test_word_frequencies_follow_the_flattened_weights():
    words = WordList(("aa", "bb", "cc"), (16.0, 4.0, 1.0))
    config = FULL.replace(
        kinds={"word": 1.0},
        cases={"lower": 1.0},
        punctuation_prob=0.0,
        compound_prob=0.0,
        frequency_power=0.5,
    )
    counts = Counter(draw(TextSampler(config, words, charset="abc"), 7000))
    shares = np.array([counts[word] for word in words.words]) / 7000
    np.testing.assert_allclose(shares, np.array([4, 2, 1]) / 7, atol=0.025)


def test_cases_follow_their_shares():
    config = FULL.replace(kinds={"word": 1.0}, punctuation_prob=0.0, compound_prob=0.0)
    texts = draw(TextSampler(config, built_in_words(), charset=PRINTABLE, min_length=4), 4000)
    upper = sum(text.isupper() for text in texts) / len(texts)
    lower = sum(text.islower() for text in texts) / len(texts)
    assert upper == pytest.approx(config.cases["upper"], abs=0.04)
    assert lower == pytest.approx(config.cases["lower"], abs=0.04)


def test_other_scripts_pass_unchanged():
    words = WordList(("出口", "停车场"), (1.0, 1.0))
    config = FULL.replace(kinds={"word": 1.0}, punctuation_prob=0.0, compound_prob=0.0)
    texts = draw(TextSampler(config, words, charset="出口停车场"), 50)
    assert set(texts) == {"出口", "停车场"}


def test_case_of_the_list_can_be_kept():
    words = WordList(("iPhone", "вХод", "abc"), (1.0, 1.0, 1.0))
    config = FULL.replace(
        kinds={"word": 1.0}, cases={"listed": 1.0}, punctuation_prob=0.0, compound_prob=0.0
    )
    charset = PRINTABLE + "вход" + "ВХОД"
    assert set(draw(TextSampler(config, words, charset=charset), 100)) == set(words.words)
    # Words that the charset has in another case only are left out, not replaced.
    words = WordList(("abc", *(f"Word{number}" for number in range(300))), (1.0,) * 301)
    sampler = TextSampler(config, words, charset=string.ascii_lowercase + string.digits)
    assert set(draw(sampler, 100)) == {"abc"}


def test_only_latin_words_get_an_apostrophe_and_s():
    words = WordList(("вход", "café"), (1.0, 1.0))
    config = FULL.replace(kinds={"word": 1.0}, punctuation_prob=1.0, compound_prob=0.0)
    texts = draw(TextSampler(config, words, charset=PRINTABLE + "éÉ" + "входВХОД"), 2000)
    with_s = {text[:-2].lower() for text in texts if text.lower().endswith("'s")}
    assert with_s == {"café"}


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="1 <= min_length <= max_length, got 5 and 3"):
        TextSampler(FULL, built_in_words(), charset="abc", min_length=5, max_length=3)
    with pytest.raises(ValueError, match="none of the words fits"):
        TextSampler(FULL.replace(kinds={"word": 1.0}), built_in_words(), charset="123")
    for charset in ("", "a b"):
        with pytest.raises(ValueError, match="charset must be one of digits"):
            resolve_charset(charset)


@pytest.mark.parametrize("digits", ["²", "0123456789²", "٠١٢٣٤٥٦٧٨٩"])
def test_other_digits_can_be_drawn(digits):
    texts = draw(TextSampler(FULL, built_in_words(), charset=resolve_charset(digits)), 3000)
    assert set("".join(texts)) == set(digits)


def test_word_lists_have_comments_and_weights(tmp_path):
    file = tmp_path / "words.txt"
    file.write_text("# a comment\nexit\t3\n\nsortie\nexit\t2\n#1\n", encoding="utf-8")
    words = read_words(file)
    assert words.words == ("exit", "sortie", "#1")
    assert words.weights == (5.0, 1.0, 1.0)
    again = tmp_path / "again.txt"
    again.write_text(words.to_text(), encoding="utf-8")
    assert read_words(again).digest() == words.digest()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"exit\tmany\n", r"line 1: weight 'many'"),
        (b"exit\t0\n", r"line 1: weight '0'"),
        (b"exit\tinf\n", r"line 1: weight 'inf'"),
        (b"exit\n\t3\n", r"line 2: there is no word before the weight"),
        (b"way out\n", r"line 1: 'way out' holds white space"),
        (b"\n# nothing\n", "holds no word"),
        (b"\xff\xfe\xff", "is not UTF-8"),
    ],
)
def test_bad_word_lists_are_named(tmp_path, content, message):
    file = tmp_path / "words.txt"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_words(file)
    assert str(file) in str(caught.value)


def test_unsuitable_wordfreq_words_are_left_out(monkeypatch):
    listed = [
        "the",
        "asshat",
        "Bullshitting",
        "way out",
        "\u0645\u062f",
        "class",
        "a00",
        "shift",
        "caf\u00e9",
    ]
    fake = types.SimpleNamespace(
        top_n_list=lambda language, count: listed[:count], word_frequency=lambda word, language: 0.5
    )
    monkeypatch.setitem(sys.modules, "wordfreq", fake)
    words = wordfreq_words.__wrapped__()
    assert words.words == ("the", "class", "shift", "caf\u00e9")
    assert words.weights == (0.5,) * 4


def test_combining_accents_are_composed(tmp_path):
    file = tmp_path / "words.txt"
    file.write_text("cafe\u0301\t2\ncaf\u00e9\n", encoding="utf-8")
    words = read_words(file)
    assert (words.words, words.weights) == (("caf\u00e9",), (3.0,))
    assert resolve_charset("e\u0301") == "\u00e9"


@pytest.mark.parametrize(
    ("word", "fault"),
    [
        ("\u0645\u062f\u062e\u0644", r"ARABIC LETTER MEEM\): Arabic is written from right to left"),
        ("\u05d9\u05e6\u05d9\u05d0\u05d4", r"HEBREW LETTER YOD\): Hebrew is written from right"),
        ("\u0928\u092e\u0938\u094d\u0924\u0947", r"DEVANAGARI LETTER NA\): letters of Devanagari"),
        ("\u0b9a\u0bc6\u0ba9\u0bcd\u0ba9\u0bc8", r"TAMIL LETTER CA\): letters of Tamil join"),
        ("q\u0301", r"COMBINING ACUTE ACCENT\): a mark that is set over"),
    ],
)
def test_scripts_that_need_a_layout_engine_are_refused(tmp_path, word, fault):
    file = tmp_path / "words.txt"
    file.write_text(f"exit\n{word}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=rf"words\.txt, line 2: .*{fault}.*remove such words"):
        read_words(file)
    with pytest.raises(ValueError, match=rf"charset contains .*{fault}.*leave it out"):
        resolve_charset("ABC" + word)


def test_other_scripts_are_read(tmp_path):
    words = ["出口", "Выход", "Έξοδος", "출구", "でぐち", "ทางออก"[:3], "Ճանապարհ", "١٢"]
    file = tmp_path / "words.txt"
    file.write_text("\n".join(words), encoding="utf-8")
    assert list(read_words(file).words) == words


def test_missing_word_list_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"word list .*none\.txt does not exist"):
        read_words(tmp_path / "none.txt")
