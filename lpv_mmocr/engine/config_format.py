"""A cache for the formatted text of a config, which MMEngine asks for again and again."""

from __future__ import annotations

from functools import lru_cache, wraps

from mmengine.config import config as mmengine_config


def install() -> None:
    """Let MMEngine keep the texts that it has formatted last.

    It formats the config anew whenever it writes it down: several times at the start of a run, and
    for every checkpoint. That takes from a tenth of a second to one, and the text is the same.
    """
    format_code = mmengine_config.FormatCode

    @lru_cache(maxsize=8)
    def formatted(text: str, style: tuple, options: tuple) -> tuple[str, bool]:
        return format_code(text, style_config=dict(style), **dict(options))

    @wraps(format_code)
    def format_once(text: str, *, style_config: dict, **options: bool) -> tuple[str, bool]:
        return formatted(text, tuple(style_config.items()), tuple(options.items()))

    mmengine_config.FormatCode = format_once
