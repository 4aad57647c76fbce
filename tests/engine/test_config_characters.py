from __future__ import annotations

from pathlib import Path

from lpv_mmocr.engine.config_characters import (
    ignored_characters,
    unknown_characters,
    untaught_characters,
)

import pytest
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope

CONFIGS = Path(__file__).parents[2] / "configs" / "textrecog" / "lpv"
GERMAN = "0123456789abcdefghijklmnopqrstuvwxyzABCÄÖÜäöüß€"


def config(characters: str = GERMAN, letter_case: str = "unchanged", **data_set) -> Config:
    decoder = dict(
        dictionary=dict(type="CharacterDictionary", characters=characters),
        module_loss=dict(type="CPAModuleLoss", letter_case=letter_case),
    )
    return Config(
        dict(
            model=dict(decoder=decoder),
            train_dataloader=dict(dataset=dict(type="LPVLMDBDataset", **data_set)),
        )
    )


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope("mmocr")


@pytest.mark.parametrize(
    ("label_filter", "missing"),
    [
        (None, "ABCÄÖÜäöüß€"),
        (dict(charset=GERMAN), "ABCÄÖÜ"),  # labels are lower-cased
        (dict(charset=GERMAN, case_sensitive=True), ""),
        (dict(charset=None, case_sensitive=True), ""),
        (dict(charset=GERMAN, case_sensitive=True, normalise_unicode=True), "ÄÖÜäöü"),
    ],
)
def test_characters_never_taught_by_one_dataset(label_filter, missing):
    assert untaught_characters(config(label_filter=label_filter)) == missing


def test_letter_case_of_the_loss_is_considered():
    label_filter = dict(charset=GERMAN, case_sensitive=True)
    assert untaught_characters(config(letter_case="lower", label_filter=label_filter)) == ("ABCÄÖÜ")


def test_one_of_several_datasets_is_enough():
    cfg = config()
    parts = [
        dict(type="LPVLMDBDataset", label_filter=dict(charset=chars, case_sensitive=True))
        for chars in ("ÄÖÜ", "ABC€0123456789abcdefghijklmnopqrstuvwxyz")
    ]
    cfg.train_dataloader.dataset = ConfigDict(type="ConcatDataset", datasets=parts)
    assert untaught_characters(cfg) == "äöüß"
    parts.append(dict(type="RecogTextDataset"))  # does not filter its labels
    cfg.train_dataloader.dataset = ConfigDict(type="ConcatDataset", datasets=parts)
    assert untaught_characters(cfg) == ""


def test_model_without_a_decoder_dictionary_misses_nothing():
    cfg = config()
    for decoder in (None, [dict(type="CPADecoder")], dict(dictionary=dict(type="NoSuch"))):
        cfg.model = ConfigDict(type="SomethingElse", decoder=decoder)
        assert untaught_characters(cfg) == ""


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("[!_]*.py")), ids=lambda path: path.stem)
def test_bundled_configs_teach_every_character(path):
    assert untaught_characters(Config.fromfile(path)) == ""
    assert unknown_characters(Config.fromfile(path)) == {}


def test_rendered_words_teach_the_characters_of_their_charset():
    cfg = config()
    own = dict(type="LPVLMDBDataset", label_filter=dict(charset="abc"))
    rendered = dict(type="RenderedWordDataset", charset=GERMAN.replace("ß", ""))
    cfg.train_dataloader.dataset = ConfigDict(type="ConcatDataset", datasets=[own, rendered])
    assert untaught_characters(cfg) == "ß"
    cfg.train_dataloader.dataset = ConfigDict(rendered)
    assert untaught_characters(cfg) == ""


@pytest.mark.parametrize(
    ("characters", "letter_case", "data_set", "unknown"),
    [
        ("абв", "unchanged", dict(label_filter=dict(charset="абв№«")), "№«"),
        ("абв", "unchanged", dict(label_filter=dict(charset="абвАБ", case_sensitive=True)), "АБ"),
        ("абв", "unchanged", dict(label_filter=dict(charset="абвАБ")), ""),  # made lower-case
        ("абв", "lower", dict(label_filter=dict(charset="абв ", remove_whitespace=True)), ""),
        ("абв", "lower", dict(label_filter=dict(charset="абвАБ")), ""),
        ("абв", "unchanged", dict(label_filter=dict(charset=None)), ""),
        ("жю1", "lower", dict(type="RenderedWordDataset", charset="digits"), "023456789"),
        ("0123456789", "lower", dict(type="RenderedWordDataset", charset="0123456789-."), ""),
        ("abc", "lower", dict(type="RecogTextDataset"), ""),
    ],
)
def test_characters_that_the_dictionary_lacks(characters, letter_case, data_set, unknown):
    cfg = config(characters, letter_case)
    cfg.train_dataloader.dataset = ConfigDict({"type": "LPVLMDBDataset", **data_set})
    expected = {cfg.train_dataloader.dataset.type: unknown} if unknown else {}
    assert unknown_characters(cfg) == expected


@pytest.mark.parametrize(
    ("metric", "ignored"),
    [
        (dict(type="WordMetric"), "жё"),
        (dict(type="mmocr.WordMetric", mode=["exact", "ignore_case_symbol"]), "жё"),
        (dict(type="WordMetric", mode="exact"), ""),
        (dict(type="WordMetric", mode=["ignore_case"]), ""),
        (dict(type="WordMetric", valid_symbol="[^a-zж]"), "1中ё"),
        (dict(type="BenchmarkMetric"), ""),
        (dict(type="Evaluator", metrics=[dict(type="WordMetric")]), "жё"),
        ([dict(type="BenchmarkMetric"), dict(type="WordMetric")], "жё"),
        (None, ""),
    ],
)
def test_letters_that_the_word_metric_removes(metric, ignored):
    cfg = config("a1中жё.")
    cfg.val_evaluator = metric
    assert ignored_characters(cfg, "val_evaluator") == ignored
