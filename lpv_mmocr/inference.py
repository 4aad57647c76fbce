"""What MMOCR's inferencers need to know of this package."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.config import Config, ConfigDict
from mmengine.infer import BaseInferencer
from mmengine.runner.checkpoint import _load_checkpoint
from mmengine.structures import BaseDataElement
from mmocr.apis.inferencers.base_mmocr_inferencer import BaseMMOCRInferencer
from torch import nn

from .datasets.transforms.word_image import to_bgr, unreadable
from .engine.reading_config import config_for_reading
from .engine.weights_hooks import require_fit
from .models import LPV
from .registry_lookup import no_imports_by_name


def accept_scope_paths() -> None:
    """Let every inferencer take a config as ``lpv_mmocr::textrecog/lpv/NAME.py``.

    MMEngine's inferencers (all versions) take a string that is not a file for the name of a model
    in the metafiles of their own scope. A path with ``::`` names its scope itself. It brings no
    weights: these come from the inferencer's ``weights``.
    """
    from_metafile = BaseInferencer._load_model_from_metafile

    @functools.wraps(from_metafile)
    def from_scope_or_metafile(self: BaseInferencer, model: str) -> tuple[Config, str | None]:
        if "::" in model:
            return Config.fromfile(model), None
        return from_metafile(self, model)

    BaseInferencer._load_model_from_metafile = from_scope_or_metafile


def restrict_embedded_config() -> None:
    """Let every inferencer that is given weights alone take their config as data.

    MMEngine (all versions) runs it as a program and builds whatever it names. The inferencer then
    raises a :class:`~lpv_mmocr.engine.config_text.ConfigTextError` if that could be more.
    """
    init_model = BaseInferencer._init_model

    @functools.wraps(init_model)
    def init_model_of_data(
        self: BaseInferencer, cfg: Config | ConfigDict, weights: str | None, device: str = "cpu"
    ) -> nn.Module:
        if not cfg and weights is not None:
            advice = ": give one of your own (--config; model=... of an inferencer of MMOCR's)"
            inside = config_for_reading(
                _load_checkpoint(weights, map_location="cpu"), weights, advice
            )
            # In place, as MMEngine does: the inferencer goes on with it. It has a model, so that
            # MMEngine does not find it empty and run the text after all.
            cfg.update(inside or {})
        return init_model(self, cfg, weights, device)

    init = BaseInferencer.__init__

    @functools.wraps(init)
    def init_without_imports(
        self: BaseInferencer, model: Any = None, *args: Any, **options: Any
    ) -> None:
        with no_imports_by_name() if model is None else contextlib.nullcontext():
            init(self, model, *args, **options)

    BaseInferencer._init_model = init_model_of_data
    BaseInferencer.__init__ = init_without_imports


def refuse_weights_of_other_models() -> None:
    """Let an inferencer with an LPV model take no weights but those of its config.

    MMEngine (all versions) fills what fits, prints the rest name by name, and reads noise.
    """
    load = BaseInferencer._load_weights_to_model

    @functools.wraps(load)
    def load_if_fitting(
        self: BaseInferencer, model: nn.Module, checkpoint: dict | None, cfg: Config | None
    ) -> None:
        if checkpoint is not None and isinstance(model, LPV):
            require_fit(model, checkpoint)
        load(self, model, checkpoint, cfg)

    BaseInferencer._load_weights_to_model = load_if_fitting


def tolerate_undrawable_pictures() -> None:
    """Let MMOCR's inferencers draw every picture that ``LoadWordImage`` takes.

    MMOCR (1.0.1) draws on the input as it was given: it stops at arrays that are not (H, W, 3)
    uint8, and at a file that it cannot decode.
    """
    visualize = BaseMMOCRInferencer.visualize

    @functools.wraps(visualize)
    def visualize_drawable(
        self: BaseMMOCRInferencer,
        inputs: Sequence[str | np.ndarray],
        preds: Sequence[BaseDataElement],
        **options: object,
    ) -> list[np.ndarray] | None:
        # MMOCRInferencer with a recogniser alone hands over the first prediction of a batch only.
        pictures = [_drawable(*pair) for pair in zip(inputs, preds, strict=False)]
        return visualize(self, pictures, preds, **options)

    BaseMMOCRInferencer.visualize = visualize_drawable


def _drawable(source: str | np.ndarray, prediction: BaseDataElement) -> str | np.ndarray:
    """A picture for MMOCR to draw: a path, or an array, (H, W, 3) BGR uint8."""
    if prediction.get("bad_sample"):
        return unreadable()
    # Other models may read what LoadWordImage refuses, such as floats; that is left as it is.
    known = isinstance(source, np.ndarray) and source.dtype in (np.uint8, np.uint16)
    return to_bgr(source) if known else source


accept_scope_paths()
restrict_embedded_config()
refuse_weights_of_other_models()
tolerate_undrawable_pictures()
