"""Config entries that have no effect because other entries were derived from them earlier.

A config is a program. Once it has run, the top-level ``max_iters`` is only the value from which
``train_cfg.max_iters`` was copied: nothing reads it again, so setting it there or in a config that
inherits from this one has no effect.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

from .engine.config_text import leaves

READ_BY_RUNNER = frozenset(inspect.signature(Runner.__init__).parameters)
"""Top-level config entries that MMEngine's runner accepts."""

_OFTEN_MEANT = ("data_root", "max_iters")
"""Entries that users often set at the top level, whether or not the inherited configs have them."""

_MISSPELT = 0.88
"""Similarity to the name of a section; ``train_dataset`` is at 0.76, ``load_form`` at 0.89."""

_READ_BY_TOOLS = frozenset({"tta_model", "tta_pipeline"})


def refuse_ineffective_options(cfg: Config, options: Mapping[str, Any]) -> None:
    """Check that top-level options, such as ``max_iters=1000``, have an effect.

    Args:
        cfg: The config as it was read.
        options: Entries to change, by dotted key.

    Raises:
        ValueError: If one of them has none; the message names the entries that are probably meant.
    """
    for name, value in options.items():
        if "." in name or not _is_plain(value) or name in READ_BY_RUNNER:
            continue
        copies = [
            key
            for key, entry in _entries(cfg)
            if "." in key and (_last(key) == name or _is_copy(entry, cfg.get(name)))
        ]
        if copies and not any(key in options for key in copies):
            raise ValueError(
                f"--cfg-options {name}={value} has no effect: nothing reads {name} once the config "
                f"is loaded. Possibly meant: {_listed(copies)}"
            )


def refuse_ineffective_lines(cfg: Config) -> None:
    """Check that the top-level entries of a config file have an effect.

    The check covers ``data_root``, ``max_iters``, everything that the inherited configs set too,
    such as ``dictionary`` or ``train_pipeline``, and misspelt sections (``train_dataloder``).

    Args:
        cfg: The config as it was read.

    Raises:
        ValueError: If no nested entry has the value of one of them, or one is misspelt.
    """
    unread = _names_without_use(cfg.filename) - READ_BY_RUNNER - _READ_BY_TOOLS
    names = sorted(name for name in unread if name in cfg)
    if not names:
        return
    before, now = _inherited(cfg.filename), cfg.to_dict()
    values = {key: value for key, value in _values(now) if _is_read(key)}
    for name in names:
        if name in before and before[name] == now[name]:
            continue
        close = get_close_matches(name, READ_BY_RUNNER, 1, _MISSPELT)
        if close and name not in before:
            raise ValueError(
                f"{name} in {cfg.filename} has no effect: nothing reads it. Did you mean "
                f"{close[0]}?"
            )
        meant = [
            key
            for key, value in _values(before)
            if _is_read(key)
            and key != name
            and (
                (name in _OFTEN_MEANT and _last(key) == name)
                or (name in before and _is_same(value, before[name]))
            )
        ]
        # Where the inherited value went, or if these entries are gone, anywhere.
        current = [values[key] for key in meant if key in values] or values.values()
        if meant and not any(_replaces(value, before.get(name), now[name]) for value in current):
            plain = f" = {now[name]!r}" if _is_plain(now[name]) else ""
            raise ValueError(
                f"{name}{plain} in {cfg.filename} has no effect: the configs that it "
                f"inherits from have already used theirs. Set {_listed(meant)}"
                + (", or the variable LPV_DATA_ROOT" if name == "data_root" else "")
            )


def _inherited(path: str) -> dict[str, Any]:
    """Return the entries of the configs that a config file names as its ``_base_``."""
    values = {}
    for base in Config._get_base_files(path):
        base, _ = Config._get_cfg_path(base, path)
        values |= Config.fromfile(base).to_dict()
    return values


def _values(entries: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield every value with its dotted key."""
    for path, value in leaves(entries, ()):
        yield ".".join(map(str, path)), value


def _entries(cfg: Config) -> Iterator[tuple[str, Any]]:
    """Yield every plain value with its dotted key."""
    for key, value in _values(cfg.to_dict()):
        if not isinstance(value, (dict, list, tuple)):
            yield key, value


def _is_plain(value: Any) -> bool:
    # Not True, which equals 1, nor None, which equals nothing in particular.
    return isinstance(value, (int, float, str)) and not isinstance(value, bool)


def _is_read(key: str) -> bool:
    """Return whether something reads an entry: a section of the config, or an entry of one."""
    return "." in key or key in READ_BY_RUNNER


def _is_same(entry: Any, value: Any) -> bool:
    """Return whether an entry may be a copy of a value; of a dictionary, also an extended one."""
    if isinstance(value, dict) and isinstance(entry, dict):
        return bool(value) and all(
            name in entry and (entry[name] == item or _is_same(entry[name], item))
            for name, item in value.items()
        )
    if isinstance(value, (dict, list, tuple)):
        return bool(value) and entry == value
    return _is_copy(entry, value)


def _replaces(entry: Any, before: Any, now: Any) -> bool:
    """Return whether an entry may be a copy of a new value, rather than one with all of the old."""
    return _is_same(entry, now) and (not _is_same(entry, before) or _is_same(now, before))


def _is_copy(entry: Any, value: Any) -> bool:
    """Return whether an entry may be a copy, also a negated one such as ``indices=-held_out``."""
    if not _is_plain(entry) or not _is_plain(value):
        return False
    return entry == value or (not isinstance(value, str) and entry == -value)


def _names_without_use(path: str | None) -> set[str]:
    """Return names that an inheriting config file assigns but does not read itself."""
    if path is None or not Path(path).is_file() or Path(path).suffix != ".py":
        return set()
    tree = ast.parse(Path(path).read_text(encoding="utf-8"))
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    assigned, read = (
        {name.id for name in names if isinstance(name.ctx, kind)} for kind in (ast.Store, ast.Load)
    )
    # A file that inherits nothing, such as the copy of a config in a work folder, contains the
    # names of all configs merged into it.
    return assigned - read if "_base_" in assigned else set()


def _last(key: str) -> str:
    return key.rpartition(".")[2]


def _listed(keys: list[str], shown: int = 4) -> str:
    # Pipelines and datasets occur several times in a config; those that a run reads come first.
    keys = sorted(keys, key=lambda key: key.partition(".")[0] not in READ_BY_RUNNER)
    return ", ".join(keys[:shown]) + (f" and {len(keys) - shown} more" if len(keys) > shown else "")
