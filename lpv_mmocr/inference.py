"""What MMOCR's inferencers need to know of this package."""

from __future__ import annotations

import functools

from mmengine.config import Config
from mmengine.infer import BaseInferencer


def accept_scope_paths() -> None:
    """Let every inferencer take a config as ``lpv_mmocr::textrecog/lpv/NAME.py``.

    MMEngine's inferencers (all versions) take a string that is no file for the name of a model in
    the metafiles of their own scope. A path with ``::`` names its scope itself. It brings no
    weights: these come from the inferencer's ``weights``.
    """
    from_metafile = BaseInferencer._load_model_from_metafile
    if hasattr(from_metafile, "__wrapped__"):
        return

    @functools.wraps(from_metafile)
    def from_scope_or_metafile(self: BaseInferencer, model: str) -> tuple[Config, str | None]:
        if "::" in model:
            return Config.fromfile(model), None
        return from_metafile(self, model)

    BaseInferencer._load_model_from_metafile = from_scope_or_metafile


accept_scope_paths()
