"""Names of the classes in MMEngine's pure Python configs."""

from __future__ import annotations

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
    own = ("mmengine", cfg.get("default_scope"))  # found without naming the scope
    names: dict[type, str] = {}
    for registry in all_registries():
        prefix = "" if registry.scope in own else f"{registry.scope}."
        for name, item in registry.module_dict.items():
            if isinstance(item, type):
                names.setdefault(item, prefix + name)
    _name(cfg._cfg_dict, names)


def _name(value: Any, names: dict[type, str]) -> None:
    keys = value if isinstance(value, dict) else range(len(value))
    for key in list(keys):
        item = value[key]  # MMEngine imports a class when it is accessed
        if isinstance(item, type):
            if item in names:
                value[key] = names[item]
        elif isinstance(item, dict | list):
            _name(item, names)
        elif isinstance(item, tuple):
            for part in item:
                if isinstance(part, dict | list):
                    _name(part, names)
