from __future__ import annotations

import string

from lpv_mmocr.rendering import FontLibrary, TextSampler, WordRenderer, preset
from lpv_mmocr.rendering.font_discovery import matplotlib_font_folder
from lpv_mmocr.rendering.word_list import built_in_words

import pytest


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """Keep the font verdicts of the tests out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LPV_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def fonts(own_cache) -> FontLibrary:
    return FontLibrary.from_folders([matplotlib_font_folder()], system=False)


@pytest.fixture(scope="session")
def make_renderer(fonts):
    def make(difficulty="full", charset=string.printable[:94], low=1, high=25, **changes):
        config = preset(difficulty).replace(**changes)
        texts = TextSampler(
            config, built_in_words(), charset=charset, min_length=low, max_length=high
        )
        return WordRenderer(fonts, texts, config)

    return make
