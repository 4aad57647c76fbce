"""Recipes, stored next to images, so that runs with different settings are not mixed."""

from __future__ import annotations

import json
from pathlib import Path

from ..atomic_files import write_file


def write_recipe(file: Path, recipe: dict) -> None:
    """Write a recipe.

    Args:
        file: File to write.
        recipe: Everything that the images depend on, as JSON data.

    Raises:
        OSError: If the file cannot be written.
    """
    write_file(file, json.dumps(recipe, indent=1))


def differing_settings(file: Path, recipe: dict) -> list[str]:
    """Compare a recipe with that of existing images.

    Args:
        file: Recipe file of the existing images.
        recipe: Recipe to compare with it.

    Returns:
        Sorted names of the settings that differ; a missing setting counts as None.

    Raises:
        ValueError: If the file is damaged.
    """
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError(f"it holds a {type(found).__name__}")
    except ValueError as error:  # includes invalid UTF-8 and JSON
        raise ValueError(
            f"{file} is damaged, perhaps because the machine stopped ({error}): delete the folder "
            f"{file.parent} to have its images made again"
        ) from error
    # JSON turns tuples into lists and keys into strings.
    recipe = json.loads(json.dumps(recipe))
    return sorted(key for key in {*found, *recipe} if found.get(key) != recipe.get(key))
