"""Names of the classes in MMEngine's pure Python configs."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from mmengine.config import Config

from ..registry_lookup import all_registries


def name_types(cfg: Config) -> None:
    """Replace registered classes in a config by their names, in place.

    A config that imports its classes (``from mmocr.models import …``) is then treated like one that
    names them, and a checkpoint with it can be read anywhere. Other classes stay.

    Args:
        cfg: The config.
    """
    _name(cfg._cfg_dict, ("mmengine", cfg.get("default_scope")))


def _name(value: Any, scopes: Container[str | None]) -> None:
    keys = value if isinstance(value, dict) else range(len(value))
    for key in list(keys):
        item = value[key]  # MMEngine imports a class when it is accessed
        if isinstance(item, type):
            value[key] = _registered_name(item, scopes) or item
        elif isinstance(item, dict | list):
            _name(item, scopes)
        elif isinstance(item, tuple):
            for part in item:
                if isinstance(part, dict | list):
                    _name(part, scopes)


def _registered_name(item: type, scopes: Container[str | None]) -> str | None:
    """Return the name of a class, with its scope unless the class is found without that."""
    for registry in all_registries():
        for name, registered in registry.module_dict.items():
            if registered is item:
                return name if registry.scope in scopes else f"{registry.scope}.{name}"
    return None
