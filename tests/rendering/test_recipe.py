from __future__ import annotations

from lpv_mmocr.rendering.recipe import differing_settings, write_recipe

import pytest

RECIPE = {"seed": 3, "size": (32, 100), "fonts": {1: "a"}, "pool": None}


def test_written_recipe_has_no_differing_settings(tmp_path):
    write_recipe(tmp_path / "recipe.json", RECIPE)
    assert differing_settings(tmp_path / "recipe.json", RECIPE) == []


def test_differing_settings_are_named(tmp_path):
    file = tmp_path / "recipe.json"
    write_recipe(file, RECIPE)
    other = {"seed": 4, "size": (32, 100), "fonts": {1: "b"}, "words": None}
    assert differing_settings(file, other) == ["fonts", "seed"]


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"[]", "it holds a list"), (b"{", "Expecting"), (b"\xff", "decode"), (b"", "Expecting")],
)
def test_damaged_recipe_file_is_named(tmp_path, content, why):
    file = tmp_path / "recipe.json"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=rf"recipe\.json is damaged.*{why}.*delete the folder"):
        differing_settings(file, RECIPE)
