"""Restriction of what an inferencer may build from the config inside a checkpoint.

Given only weights, MMEngine's inferencers build the model, the test pipeline and the visualizer of
the config inside them. Even a config that is plain data can then do anything: some classes of MMOCR
and MMDetection evaluate their arguments as Python, unpickle or download what a string names, or
send images to a server. So only the parts that reading needs are kept, and of OpenMMLab's classes
only those that recognise words or prepare images for it are allowed.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping, Sequence
from typing import Any

from .. import deferred_classes
from ..registry_lookup import OPENMMLAB, all_registries
from .config_text import ConfigTextError, Path, is_safe_import, leaves, parse_config, shown

_MODULES = (
    *("mmocr.models", "mmocr.visualization", "torch.nn"),
    *("mmcv.cnn.bricks", "mmcv.ops.modulated_deform_conv"),
    *("mmengine.model.base_model", "mmengine.model.base_module"),
    "mmengine.utils.dl_utils.parrots_wrapper",  # synchronised batch normalisation
    # Used by MMOCR's own models, from MMDetection.
    *("mmdet.models.backbones.resnet", "mmdet.models.necks.fpn"),
    "mmdet.models.roi_heads.roi_extractors",
)
"""Modules of the classes that reading may need."""
_TRANSFORMS = frozenset(
    {
        *("LoadImageFromFile", "LoadImageFromNDArray", "InferencerLoader"),
        *("LoadOCRAnnotations", "LoadKIEAnnotations", "LoadAnnotations"),
        *("Resize", "RescaleToHeight", "ShortScaleAspectJitter", "FixInvalidPolygon"),
        *("Pad", "PadToWidth", "Normalize", "CenterCrop", "RandomGrayscale"),
        *("PackTextRecogInputs", "PackTextDetInputs", "PackKIEInputs"),
    }
)
"""OpenMMLab's transforms that a test may need."""
_COLLATES = frozenset({"pseudo_collate", "default_collate"})
_NOT_REGISTERED = frozenset({"BasicBlock", "Bottleneck", "RoIAlign"})
"""Values of "type" that MMOCR's models look up without a registry."""
_STORAGE = (None, {}, {"backend": "disk"}, {"backend": "local"})
"""Allowed storage of images. The other backends import clients, and connect to servers."""
_NAME = re.compile(r"([A-Za-z_]\w*\.)?[A-Za-z_]\w*")
NO_CONFIG = "has no config inside, or one that was left out (the log says why)"
"""What error messages say of a checkpoint for which :func:`inference_config` returns None."""


def inference_config(
    checkpoint: dict,
    name: str,
    advice: str = "",
    parts: Sequence[str] = ("model", "test_dataloader"),
) -> dict[str, Any] | None:
    """Return the config inside a checkpoint, reduced by :func:`restricted_config`.

    Args:
        checkpoint: Return value of :func:`~lpv_mmocr.engine.load_checkpoint`.
        name: Path of its file, for the error message.
        advice: What to do instead, for the error message.
        parts: Parts that the config must have.

    Returns:
        The config; None if the checkpoint contains no config.

    Raises:
        ConfigTextError: If it could do more than reading needs, or lacks a part.
    """
    text = _config_inside(checkpoint)
    if text is None:
        return None
    try:
        config = restricted_config(text)
        for part in parts:
            if part not in config:
                raise ConfigTextError(f"it has no {part}")
    except ConfigTextError as error:
        raise ConfigTextError(
            f"the config inside {name} is not used, as it lacks a part or could do more "
            f"than read words ({error}){advice}"
        ) from error
    return config


def _config_inside(checkpoint: dict) -> str | None:
    """Return the config text inside a checkpoint, from where MMEngine's inferencers look it up."""
    meta, message_hub = checkpoint.get("meta"), checkpoint.get("message_hub")
    runtime_info = message_hub.get("runtime_info") if isinstance(message_hub, dict) else None
    for holder in (runtime_info, meta):
        text = holder.get("cfg") if isinstance(holder, dict) else None
        if isinstance(text, str):
            return text
    return None


def restricted_config(text: str) -> dict[str, Any]:
    """Return the part of a config that reading needs, if it is harmless.

    Args:
        text: Text of the config inside a checkpoint.

    Returns:
        ``model``, ``test_dataloader`` with only its pipeline and ``collate_fn``,
        ``test_pipeline``, ``visualizer`` (without backends, so it writes nothing) and
        ``default_scope``, where present.

    Raises:
        ConfigTextError: If the text is more than data, or a part could do more than read words.
    """
    config = parse_config(text)
    loader = _mapping(config.get("test_dataloader"))
    kept: dict[str, Any] = {
        "model": config.get("model"),
        "test_pipeline": config.get("test_pipeline"),
        "visualizer": config.get("visualizer"),
        "default_scope": config.get("default_scope"),
    }
    if loader:
        # Where words of several datasets are read, each dataset has its own pipeline.
        pipeline = _mapping(loader.get("dataset")).get("pipeline", kept["test_pipeline"])
        kept["test_dataloader"] = dict(dataset=dict(pipeline=pipeline))
        if "collate_fn" in loader:
            kept["test_dataloader"]["collate_fn"] = loader["collate_fn"]
    if isinstance(kept["visualizer"], dict):
        # Some backends write to a folder of the config's choice, or send images to a server.
        kept["visualizer"] = {**kept["visualizer"], "vis_backends": None}
    kept = {part: value for part, value in kept.items() if value is not None}
    try:
        found = next((leaf for leaf in leaves(kept, ()) if not _is_harmless(*leaf)), None)
    except RecursionError as error:
        raise ConfigTextError("it is nested too deeply") from error
    if found is not None:
        raise ConfigTextError(shown(*found))
    return kept


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _is_harmless(path: Path, value: Any) -> bool:
    name = path[-1] if path else None
    if name in ("backend_args", "file_client_args"):
        return value in _STORAGE
    if name == "save_dir":
        return value is None
    # Initial weights are read by a method that reading never calls.
    if not isinstance(value, str) or "init_cfg" in path:
        return True
    if name in ("_scope_", "default_scope"):
        return is_safe_import(value)
    if "://" in value or value.startswith(("//", "\\\\")):  # URLs and network shares
        return False
    if name == "dict_file":
        return True
    if name == "type":
        return value in _NOT_REGISTERED or _may_be_built(value, unknown=False)
    if name == "collate_fn":
        return value in _COLLATES or _may_be_built(value, unknown=False)
    # Some classes also look up arguments of other names than "type" in a registry. If a value has a
    # dot, MMEngine imports the part before it, whatever follows.
    top, dot, _ = value.partition(".")
    if dot:
        return not top or not _is_importable(top)
    return _may_be_built(value, unknown=True)


def _may_be_built(text: str, unknown: bool) -> bool:
    """Return whether everything registered under a name, in any registry, is harmless.

    MMEngine treats a name that has a dot and is not registered as an import path, and calls what it
    finds. (For a single word, registry_lookup.py prevents this.)

    Args:
        text: Name, with or without a scope before it.
        unknown: Value to return if nothing has that name.
    """
    if _NAME.fullmatch(text) is None:
        return unknown
    scope, _, name = text.rpartition(".")
    if scope and scope not in {each.scope for each in all_registries()}:
        return False
    if name in deferred_classes.CLASSES:  # it may not be registered yet
        return False
    known = [
        item for each in all_registries() for key, item in each.module_dict.items() if key == name
    ]
    return all(_is_allowed(name, item.__module__) for item in known) if known else unknown


def _is_allowed(name: str, origin: str) -> bool:
    if origin.partition(".")[0] not in (*OPENMMLAB, "torch"):
        return True  # from this package, or from a package that the user has imported
    known = any(f"{origin}.".startswith(f"{module}.") for module in _MODULES)
    return known or name in _TRANSFORMS or name in _COLLATES


def _is_importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # a module that was not created by an import
        return True
