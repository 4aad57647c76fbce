"""Characters of a config's model, compared with those of its data and of its metrics."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import filterfalse
from typing import Any

from mmengine.config import Config
from mmocr.evaluation import WordMetric
from mmocr.registry import TASK_UTILS

from ..datasets.label_filter import LabelFilter
from ..rendering.words import resolve_charset
from ..visible_text import listed
from .config_text import leaves

_IGNORES_SYMBOLS = "ignore_case_symbol"


def untaught_characters(cfg: Config) -> str:
    """Find the characters of the dictionary that no training label can contain.

    Every dataset's label filter or charset removes such a character, or ``letter_case`` of the loss
    changes it. A config that extends the dictionary has to extend these, too: the released filter,
    which is the default, turns a word of another script into an empty label.

    Args:
        cfg: Config with ``model`` and ``train_dataloader``; its default scope must be active.

    Returns:
        The characters, in the dictionary's order; an empty string if all words are rendered, or if
        this cannot be determined, because a dataset has neither a label filter nor a charset, the
        model keeps its dictionary elsewhere than LPV does, or the dictionary cannot be built.

    Raises:
        TypeError: If a ``label_filter`` has an option that does not exist.
        ValueError: If an option of one is wrong, or a charset.
    """
    data_sets = [*_data_sets(cfg.train_dataloader.get("dataset"))]
    kinds = {_kind(each) for each in data_sets}
    # If all words are rendered, their charset was chosen on purpose.
    if "LPVLMDBDataset" not in kinds or not kinds <= _PASSES.keys():
        return ""
    passes = [_PASSES[_kind(each)](each) for each in data_sets]
    cased = _letter_case(cfg)

    def is_taught(character: str) -> bool:
        return any(each(character) for each in passes) and cased(character) == character

    return "".join(filterfalse(is_taught, _dictionary(cfg)))


def unknown_characters(cfg: Config) -> dict[str, str]:
    """Find the characters that training labels may contain and the dictionary lacks.

    Such characters are dropped from the targets. Symbols of rendered words do not count: models
    without symbols are taught to ignore them.

    Args:
        cfg: Config with ``model`` and ``train_dataloader``; its default scope must be active.

    Returns:
        The characters for each type of dataset that has any.

    Raises:
        TypeError: If a ``label_filter`` has an option that does not exist.
        ValueError: If an option of one is wrong, or a charset.
    """
    known, cased = set(_dictionary(cfg)), _letter_case(cfg)
    if not known:
        return {}
    found: dict[str, str] = {}
    for data_set in _data_sets(cfg.train_dataloader.get("dataset")):
        kind = _kind(data_set)
        characters = _CHARSETS[kind](data_set) if kind in _CHARSETS else ""
        unknown = (character for character in characters if cased(character) not in known)
        found[kind] = "".join(dict.fromkeys(found.get(kind, "") + "".join(unknown)))
    return {kind: characters for kind, characters in found.items() if characters}


def ignored_characters(cfg: Config, evaluator: str) -> str:
    """Find the letters and digits of the dictionary that a ``WordMetric`` removes from texts.

    In its default mode, it compares ASCII letters and digits and Chinese ideographs only, so that
    any reading of a word of another script is correct.

    Args:
        cfg: Config with ``model``; its default scope must be active.
        evaluator: Name of the section with the metrics, such as ``val_evaluator``.

    Returns:
        The characters, in the dictionary's order.
    """
    default = inspect.signature(WordMetric).parameters
    dictionary, ignored = _dictionary(cfg), set()
    for _, metric in leaves(cfg.get(evaluator), ()):
        if not isinstance(metric, Mapping) or _kind(metric) != "WordMetric":
            continue
        modes = metric.get("mode", default["mode"].default)
        if _IGNORES_SYMBOLS in ([modes] if isinstance(modes, str) else modes):
            symbols = re.compile(metric.get("valid_symbol", default["valid_symbol"].default))
            ignored.update(filter(symbols.fullmatch, dictionary))
    return "".join(each for each in dictionary if each in ignored and each.isalnum())


def warning_of_ignored(ignored: str) -> str:
    """Return the warning about characters from :func:`ignored_characters`."""
    return (
        f"WordMetric removes {len(ignored)} characters of the model from labels and readings "
        f"before it compares them ({listed(ignored)}): for them, any reading is correct. Give it "
        "mode='exact'"
    )


def _filter_passes(data_set: Mapping[str, Any]) -> Callable[[str], bool]:
    label_filter = LabelFilter.from_config(data_set.get("label_filter"))
    return lambda character: label_filter(character) == character


def _filter_charset(data_set: Mapping[str, Any]) -> str:
    label_filter = LabelFilter.from_config(data_set.get("label_filter"))
    return "".join(each for each in label_filter.charset or "" if label_filter(each) == each)


def _rendered(data_set: Mapping[str, Any]) -> str:
    return resolve_charset(data_set.get("charset", "printable"))


_PASSES: dict[str, Callable[[Mapping[str, Any]], Callable[[str], bool]]] = {
    "LPVLMDBDataset": _filter_passes,
    "RenderedWordDataset": lambda data_set: set(_rendered(data_set)).__contains__,
}
"""For each type of dataset whose labels are known, whether a label can have a character."""

_CHARSETS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "LPVLMDBDataset": _filter_charset,
    "RenderedWordDataset": lambda data_set: "".join(filter(str.isalnum, _rendered(data_set))),
}
"""For each type of dataset, the characters that the dictionary should have."""


def _kind(config: Mapping[str, Any]) -> str:
    return str(config.get("type")).rpartition(".")[2]


def _data_sets(config: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the datasets that read words, inside those that combine several."""
    if isinstance(config, Mapping):
        inner = config.get("datasets", config.get("dataset"))
        if inner is None and "type" in config:
            yield config
        yield from _data_sets(inner)
    elif isinstance(config, Iterable) and not isinstance(config, str):
        for part in config:
            yield from _data_sets(part)


def _decoder(cfg: Config) -> Mapping[str, Any]:
    decoder = cfg.model.get("decoder")
    return decoder if isinstance(decoder, Mapping) else {}


def _letter_case(cfg: Config) -> Callable[[str], str]:
    letter_case = (_decoder(cfg).get("module_loss") or {}).get("letter_case")
    return {"lower": str.lower, "upper": str.upper}.get(letter_case, str)


def _dictionary(cfg: Config) -> list[str]:
    """Return the characters of the dictionary; none if it cannot be found or built."""
    config = _decoder(cfg).get("dictionary")
    if not config:
        return []
    try:
        dictionary = TASK_UTILS.build(config)
    except (KeyError, TypeError, ValueError, OSError):  # the model gives a better error
        return []
    special = {
        getattr(dictionary, f"{kind}_idx", None) for kind in ("start", "end", "padding", "unknown")
    }
    return [text for index, text in enumerate(dictionary.dict) if index not in special]
