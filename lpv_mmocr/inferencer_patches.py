"""Patches of MMOCR's inferencers for this package."""

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

from .datasets.transforms.word_image import placeholder_image, to_bgr
from .engine.inference_config import inference_config
from .engine.weights_fit import mask_of, require_fit, warn_of_other_mask
from .registry_lookup import no_imports_by_name


def accept_scope_paths() -> None:
    """Let every inferencer accept a config as ``lpv_mmocr::textrecog/lpv/NAME.py``.

    MMEngine's inferencers (all versions) treat a string that is not a file as the name of a model
    in the metafiles of their own scope. A path with ``::`` names its scope itself. It has no
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
    """Let inferencers that are given only weights read the config inside them as data.

    MMEngine (all versions) runs it as a program and builds whatever it names. With this patch, the
    inferencer raises a :class:`~lpv_mmocr.engine.config_text.ConfigTextError` if the config may be
    more than data.
    """
    init_model = BaseInferencer._init_model

    @functools.wraps(init_model)
    def init_model_of_data(
        self: BaseInferencer, cfg: Config | ConfigDict, weights: str | None, device: str = "cpu"
    ) -> nn.Module:
        if not cfg and weights is not None:
            advice = ": give your own config (--config; model=... of an MMOCR inferencer)"
            inside = inference_config(
                _load_checkpoint(weights, map_location="cpu"), weights, advice
            )
            # In place, as MMEngine does: the inferencer continues with it. It has a model, so
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
    """Let inferencers with a ``CPADecoder`` accept only weights that fit their config.

    MMEngine (all versions) loads the weights that fit, prints the names of the others, and reads
    noise. They also warn if the checkpoint's own config has another mask.
    """
    load = BaseInferencer._load_weights_to_model

    @functools.wraps(load)
    def load_if_fitting(
        self: BaseInferencer, model: nn.Module, checkpoint: dict | None, cfg: Config | None
    ) -> None:
        if checkpoint is not None and mask_of(model) is not None:
            require_fit(model, checkpoint)
            warn_of_other_mask(model, checkpoint)
        load(self, model, checkpoint, cfg)

    BaseInferencer._load_weights_to_model = load_if_fitting


def tolerate_undrawable_images() -> None:
    """Let MMOCR's inferencers draw every image that ``LoadWordImage`` accepts.

    MMOCR (1.0.1) draws on the input as given: it fails on arrays that are not (H, W, 3) uint8, and
    on files that it cannot decode.
    """
    visualize = BaseMMOCRInferencer.visualize

    @functools.wraps(visualize)
    def visualize_drawable(
        self: BaseMMOCRInferencer,
        inputs: Sequence[str | np.ndarray],
        preds: Sequence[BaseDataElement],
        **options: object,
    ) -> list[np.ndarray] | None:
        # MMOCRInferencer with only a recogniser passes only the first prediction of a batch.
        images = [_drawable(*pair) for pair in zip(inputs, preds, strict=False)]
        return visualize(self, images, preds, **options)

    BaseMMOCRInferencer.visualize = visualize_drawable


def _drawable(source: str | np.ndarray, prediction: BaseDataElement) -> str | np.ndarray:
    """Return an image that MMOCR can draw: a path, or an array, (H, W, 3) BGR uint8."""
    if prediction.get("bad_sample"):
        return placeholder_image()
    # Other models may read what LoadWordImage rejects, such as floats; that is left unchanged.
    known = isinstance(source, np.ndarray) and source.dtype in (np.uint8, np.uint16)
    return to_bgr(source) if known else source


accept_scope_paths()
restrict_embedded_config()
refuse_weights_of_other_models()
tolerate_undrawable_images()
