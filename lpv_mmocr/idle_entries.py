"""Entries of a config without effect, since others were derived from them before.

A config is a program. Once it has run, ``max_iters`` at its top is only what
``train_cfg.max_iters`` was copied from: nobody reads it again, and setting it there or in a config
that inherits this one has no effect.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

from .engine.config_text import leaves

READ_BY_RUNNER = frozenset(inspect.signature(Runner.__init__).parameters)
"""Entries at the top of a config that MMEngine's runner takes."""

_OFTEN_MEANT = ("data_root", "max_iters")
"""What people set at the top of a config of their own, whether or not it is there in its bases."""

_READ_BY_TOOLS = frozenset({"tta_model", "tta_pipeline"})


def refuse_idle_options(cfg: Config, options: Mapping[str, Any]) -> None:
    """Check that options at the top of a config, such as ``max_iters=1000``, have an effect.

    Args:
        cfg: The config as it was read.
        options: What is to be changed, with dotted keys.

    Raises:
        ValueError: If one of them has none; the error names those that are probably meant.
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
                f"is read. What may be meant: {_listed(copies)}"
            )


def refuse_idle_lines(cfg: Config) -> None:
    """Check that what a config's file sets at its top has an effect.

    That is so of ``data_root`` and ``max_iters``, and of all that the configs it inherits set too,
    such as ``dictionary`` or ``train_pipeline``.

    Args:
        cfg: The config as it was read.

    Raises:
        ValueError: If nothing has the value of one.
    """
    unread = _names_without_use(cfg.filename) - READ_BY_RUNNER - _READ_BY_TOOLS
    names = sorted(name for name in unread if name in cfg)
    if not names:
        return
    before, now = _inherited(cfg.filename), cfg.to_dict()
    values = [value for key, value in _values(now) if "." in key]
    for name in names:
        if name in before and _is_same(before[name], now[name]):
            continue
        meant = [
            key
            for key, value in _values(before)
            if "." in key
            and (
                (name in _OFTEN_MEANT and _last(key) == name)
                or (name in before and _is_same(value, before[name]))
            )
        ]
        if meant and not any(_is_same(value, now[name]) for value in values):
            plain = f" = {now[name]!r}" if _is_plain(now[name]) else ""
            raise ValueError(
                f"{name}{plain} in {cfg.filename} has no effect: the configs that it "
                f"inherits have used theirs already. Set {_listed(meant)}"
                + (", or the variable LPV_DATA_ROOT" if name == "data_root" else "")
            )


def _inherited(path: str) -> dict[str, Any]:
    """What the configs say that a config's file names as its ``_base_``."""
    values = {}
    for base in Config._get_base_files(path):
        base, _ = Config._get_cfg_path(base, path)
        values |= Config.fromfile(base).to_dict()
    return values


def _values(entries: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Every value with its dotted key."""
    for path, value in leaves(entries, ()):
        yield ".".join(map(str, path)), value


def _entries(cfg: Config) -> Iterator[tuple[str, Any]]:
    """Every plain value with its dotted key."""
    for key, value in _values(cfg.to_dict()):
        if not isinstance(value, (dict, list, tuple)):
            yield key, value


def _is_plain(value: Any) -> bool:
    # True is equal to 1, and None to nothing in particular.
    return isinstance(value, (int, float, str)) and not isinstance(value, bool)


def _is_same(entry: Any, value: Any) -> bool:
    if isinstance(value, (dict, list, tuple)):
        return bool(value) and entry == value
    return _is_copy(entry, value)


def _is_copy(entry: Any, value: Any) -> bool:
    """Whether an entry may be a copy; the last n words have the number -n."""
    if not _is_plain(entry) or not _is_plain(value):
        return False
    return entry == value or (not isinstance(value, str) and entry == -value)


def _names_without_use(path: str | None) -> set[str]:
    """Names that a config file assigns itself and reads nowhere, though others read them for it."""
    if path is None or not Path(path).is_file() or Path(path).suffix != ".py":
        return set()
    tree = ast.parse(Path(path).read_text(encoding="utf-8"))
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    assigned, read = (
        {name.id for name in names if isinstance(name.ctx, kind)} for kind in (ast.Store, ast.Load)
    )
    # A file that inherits nothing, such as the copy of a config in a work folder, holds the names
    # of all that were merged into it.
    return assigned - read if "_base_" in assigned else set()


def _last(key: str) -> str:
    return key.rpartition(".")[2]


def _listed(keys: list[str], shown: int = 4) -> str:
    # Pipelines and data sets are in a config several times; these are what a run reads.
    keys = sorted(keys, key=lambda key: key.partition(".")[0] not in READ_BY_RUNNER)
    return ", ".join(keys[:shown]) + (f" and {len(keys) - shown} more" if len(keys) > shown else "")
