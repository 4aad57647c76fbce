"""Checkpoint entries, other than weights, that could do more than carry data."""

from __future__ import annotations

import logging
import os
from typing import Any

from mmengine.logging import print_log

from .config_text import ConfigTextError, parse_config

_PATHS = ("best_ckpt", "last_ckpt")


def drop_unsafe_entries(checkpoint: dict, name: str) -> None:
    """Remove entries that could run code or delete files: configs with code, wrong paths.

    Inferencers and resuming runners execute configs as programs; hooks delete or copy earlier
    checkpoints whose names they find in a checkpoint.

    Args:
        checkpoint: Loaded checkpoint, changed in place.
        name: Path of its file.
    """
    message_hub = checkpoint.get("message_hub")
    runtime_info = message_hub.get("runtime_info") if isinstance(message_hub, dict) else None
    for key, value in [*(runtime_info or {}).items()]:
        if key.startswith(_PATHS):
            runtime_info[key] = value = _beside(name, value)
        if not _is_plausible(key, value):
            del runtime_info[key]
            (message_hub.get("resumed_keys") or {}).pop(key, None)
    meta = checkpoint.get("meta")
    # An inferencer reads "cfg" of either; a resuming runner reads "config" of meta.
    for holder, key in ((meta, "cfg"), (meta, "config"), (runtime_info, "cfg")):
        text = holder.get(key) if isinstance(holder, dict) else None
        if not isinstance(text, str):
            continue
        try:
            parse_config(text)
        except ConfigTextError as error:
            del holder[key]
            print_log(
                f"The config inside {name} is more than data ({error}). It is left out, and "
                "nothing in it was run; give your own config (--config).",
                logger="current",
                level=logging.WARNING,
            )


def _beside(name: str, value: Any) -> str:
    """Return an earlier checkpoint's path: next to this one, even if both were moved or copied."""
    file = str(value).replace("\\", "/").rpartition("/")[2]
    return os.path.join(os.path.dirname(os.path.abspath(name)), file)


def _is_plausible(key: str, value: Any) -> bool:
    """Return whether an entry about earlier checkpoints is one that the hooks could have written.

    A path must also be that of an existing file.
    """
    if key.startswith(_PATHS):
        named = key == "last_ckpt" or os.path.basename(value).startswith("best_")
        return value.endswith(".pth") and named and os.path.isfile(value)
    if key in ("keep_ckpt_ids", "outdated_ckpt_ids"):
        return isinstance(value, list) and all(type(step) is int for step in value)
    return True
