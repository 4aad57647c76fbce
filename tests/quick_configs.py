"""Runs that do not format the text of their config over and over."""

from __future__ import annotations

from collections.abc import Iterator

import mmengine.config.config
import pytest


@pytest.fixture(scope="session", autouse=True)
def configs_formatted_once() -> Iterator[None]:
    """Formats every text of a config once; a run asks for its own four times, in half a second."""
    format_code = mmengine.config.config.FormatCode
    known = {}

    def format_once(text: str, **options: object) -> tuple[str, bool]:
        key = (text, repr(options))
        if key not in known:
            known[key] = format_code(text, **options)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mmengine.config.config, "FormatCode", format_once)
        yield
