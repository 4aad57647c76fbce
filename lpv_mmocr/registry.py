"""Registries of the scope ``lpv_mmocr``: one below each of MMOCR's.

LPV's components are registered in MMOCR's own registries, where every MMOCR config finds them.
MMEngine asks a package for registries of its own in two cases: a config inherits from
``lpv_mmocr::…``, or an inferencer is told ``scope="lpv_mmocr"``. These answer, and pass each
question on to their parents.
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
            # A registry asks its parents only for what they have imported already.
            locations=["lpv_mmocr", *_parent._locations],
        )
