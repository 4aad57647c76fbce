"""Characters of a config's model that its training labels cannot contain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import filterfalse
from typing import Any

from mmengine.config import Config
from mmocr.registry import TASK_UTILS

from .label_filter import LabelFilter


def untaught_characters(cfg: Config) -> str:
    """Find the characters of the dictionary that no training label can contain.

    The label filters of all datasets, or ``letter_case`` of the loss, remove or change these.
    A config that extends the dictionary has to extend the filter, too: the released filter, which
    is the default, turns a word of another script into an empty label.

    Args:
        cfg: Config with ``model`` and ``train_dataloader``; its default scope must be active.

    Returns:
        The characters, in the dictionary's order; an empty string if this cannot be determined,
        because a dataset has no such filter, the model keeps its dictionary elsewhere than LPV
        does, or the dictionary cannot be built.

    Raises:
        TypeError: If a ``label_filter`` has an option that does not exist.
        ValueError: If an option of one is wrong.
    """
    decoder = cfg.model.get("decoder")
    decoder = decoder if isinstance(decoder, Mapping) else {}
    data_sets = [*_data_sets(cfg.train_dataloader.get("dataset"))]
    if not decoder.get("dictionary") or not data_sets or not all(map(_is_filtered, data_sets)):
        return ""
    filters = [LabelFilter.from_config(data_set.get("label_filter")) for data_set in data_sets]
    letter_case = (decoder.get("module_loss") or {}).get("letter_case")
    cased = {"lower": str.lower, "upper": str.upper}.get(letter_case, str)

    def is_taught(character: str) -> bool:
        passes = any(each(character) == character for each in filters)
        return passes and cased(character) == character

    try:
        characters = _characters(decoder["dictionary"])
    except (KeyError, TypeError, ValueError, OSError):  # the model gives a better error
        return ""
    return "".join(filterfalse(is_taught, characters))


def _is_filtered(data_set: Mapping[str, Any]) -> bool:
    return str(data_set["type"]).rpartition(".")[2] == "LPVLMDBDataset"


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


def _characters(config: Mapping[str, Any]) -> list[str]:
    dictionary = TASK_UTILS.build(config)
    special = {
        getattr(dictionary, f"{kind}_idx", None) for kind in ("start", "end", "padding", "unknown")
    }
    return [text for index, text in enumerate(dictionary.dict) if index not in special]
