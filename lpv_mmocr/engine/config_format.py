"""Cache for the formatted text of a config, which MMEngine requests repeatedly."""

from __future__ import annotations

from functools import lru_cache, wraps

from mmengine.config import config as mmengine_config


def install() -> None:
    """Make MMEngine cache the most recently formatted texts.

    MMEngine formats the config again whenever it dumps it: several times at the start of a run, and
    for every checkpoint. Each time takes 0.1 to 1 s, and the text is the same.
    """
    if not hasattr(mmengine_config, "FormatCode"):  # forks import it in the function that uses it
        return
    format_code = mmengine_config.FormatCode

    @lru_cache(maxsize=8)
    def formatted(text: str, style: tuple, options: tuple) -> tuple[str, bool]:
        return format_code(text, style_config=dict(style), **dict(options))

    @wraps(format_code)
    def format_once(text: str, *, style_config: dict, **options: bool) -> tuple[str, bool]:
        return formatted(text, tuple(style_config.items()), tuple(options.items()))

    mmengine_config.FormatCode = format_once
