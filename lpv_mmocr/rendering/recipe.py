"""What pictures were made by, kept beside them: runs with other settings must not mix theirs in."""

from __future__ import annotations

import json
from pathlib import Path

from ..whole_files import replaced_file


def write_recipe(file: Path, recipe: dict) -> None:
    """Write a recipe.

    Args:
        file: Where to.
        recipe: Everything that the pictures depend on, as JSON data.

    Raises:
        OSError: If it cannot be written.
    """
    with replaced_file(file) as handle:
        handle.write(json.dumps(recipe, indent=1).encode())


def differing_settings(file: Path, recipe: dict) -> list[str]:
    """Compare a recipe with that of pictures which are there already.

    Args:
        file: Theirs.
        recipe: The recipe.

    Returns:
        Names of what has another value, in order. What is not there counts as None.

    Raises:
        ValueError: If the file is damaged.
    """
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError(f"it holds a {type(found).__name__}")
    except ValueError as error:  # no text, or no JSON, too
        raise ValueError(
            f"{file} is damaged, perhaps since the machine stopped ({error}): delete the folder "
            f"{file.parent}, whose pictures are made anew then"
        ) from error
    # Tuples become lists, and keys texts, when they are written.
    recipe = json.loads(json.dumps(recipe))
    return sorted(key for key in {*found, *recipe} if found.get(key) != recipe.get(key))
