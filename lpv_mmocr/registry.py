"""Registries of the scope ``lpv_mmocr``: one child of each MMOCR registry.

LPV's components are registered in MMOCR's own registries, where every MMOCR config finds them.
MMEngine asks a package for its own registries in two cases: a config inherits from
``lpv_mmocr::…``, or an inferencer is given ``scope="lpv_mmocr"``. The registries here then pass
each lookup on to their parents.
"""

from __future__ import annotations

from mmengine.registry import Registry
from mmocr import registry as mmocr_registry

for _name, _parent in list(vars(mmocr_registry).items()):
    if isinstance(_parent, Registry):
        globals()[_name] = Registry(
            _parent.name,
            parent=_parent,
            scope="lpv_mmocr",
            # A registry finds in its parents only what they have already imported.
            locations=["lpv_mmocr", *_parent._locations],
        )
