"""What an inferencer may build of the config inside a checkpoint.

MMEngine's inferencers, given weights alone, build the model, the test pipeline and the visualizer
of the config inside them. Built of data alone, objects can still do anything: some of MMOCR's and
MMDetection's classes evaluate their arguments as Python, unpickle or fetch what a string names, or
send pictures to a server. So only the parts that reading needs are handed on, and of classes of
OpenMMLab's only those that recognise words or prepare pictures for it.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine import registry

from ..registry_lookup import OPENMMLAB
from .config_text import ConfigTextError, Path, is_at_hand, leaves, parse_config, shown

_MODULES = (
    *("mmocr.models", "mmocr.visualization", "torch.nn"),
    *("mmcv.cnn.bricks", "mmcv.ops.modulated_deform_conv"),
    *("mmengine.model.base_model", "mmengine.model.base_module"),
    "mmengine.utils.dl_utils.parrots_wrapper",  # batch normalisation of several processes
    # What MMOCR's own models take from MMDetection.
    *("mmdet.models.backbones.resnet", "mmdet.models.necks.fpn"),
    "mmdet.models.roi_heads.roi_extractors",
)
"""Where classes come from that reading may need."""
_TRANSFORMS = frozenset(
    {
        *("LoadImageFromFile", "LoadImageFromNDArray", "InferencerLoader"),
        *("LoadOCRAnnotations", "LoadKIEAnnotations", "LoadAnnotations"),
        *("Resize", "RescaleToHeight", "ShortScaleAspectJitter", "FixInvalidPolygon"),
        *("Pad", "PadToWidth", "Normalize", "CenterCrop", "RandomGrayscale"),
        *("PackTextRecogInputs", "PackTextDetInputs", "PackKIEInputs"),
    }
)
"""OpenMMLab's transforms that a test needs."""
_COLLATES = frozenset({"pseudo_collate", "default_collate"})
_NOT_REGISTERED = frozenset({"BasicBlock", "Bottleneck", "RoIAlign"})
"""Values of "type" that MMOCR's models look up elsewhere than in a registry."""
_STORAGE = (None, {}, {"backend": "disk"}, {"backend": "local"})
"""Where pictures may come from. The other backends import clients, and connect to servers."""
_NAME = re.compile(r"([A-Za-z_]\w*\.)?[A-Za-z_]\w*")


def config_for_reading(checkpoint: dict, name: str, advice: str = "") -> dict[str, Any] | None:
    """What :func:`reading_config` keeps of the config inside a checkpoint.

    Args:
        checkpoint: What :func:`~lpv_mmocr.engine.load_checkpoint` gave.
        name: Its file, for the error.
        advice: What to do otherwise, for the error.

    Returns:
        The config, with a model; None where there is none inside.

    Raises:
        ConfigTextError: If it is more than reading needs, or has no model.
    """
    text = _config_inside(checkpoint)
    if text is None:
        return None
    try:
        config = reading_config(text)
        if "model" not in config:
            raise ConfigTextError("it has no model")
    except ConfigTextError as error:
        raise ConfigTextError(
            f"the config inside {name} is not taken, as it could do more than to read words "
            f"({error}){advice}"
        ) from error
    return config


def _config_inside(checkpoint: dict) -> str | None:
    """The text of the config that came with a checkpoint, where MMEngine's inferencers look."""
    meta, message_hub = checkpoint.get("meta"), checkpoint.get("message_hub")
    runtime_info = message_hub.get("runtime_info") if isinstance(message_hub, dict) else None
    for holder in (runtime_info, meta):
        text = holder.get("cfg") if isinstance(holder, dict) else None
        if isinstance(text, str):
            return text
    return None


def reading_config(text: str) -> dict[str, Any]:
    """The part of a config that reading needs, if it is harmless.

    Args:
        text: The config inside a checkpoint.

    Returns:
        ``model``, ``test_dataloader`` with nothing but its pipeline and ``collate_fn``,
        ``test_pipeline``, ``visualizer`` (which writes nowhere) and ``default_scope``, as far as
        they are there.

    Raises:
        ConfigTextError: If the text is more than data, or a part could do more than to read words.
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
        # Where words of several data sets are read, each has a pipeline of its own.
        pipeline = _mapping(loader.get("dataset")).get("pipeline", kept["test_pipeline"])
        kept["test_dataloader"] = dict(dataset=dict(pipeline=pipeline))
        if "collate_fn" in loader:
            kept["test_dataloader"]["collate_fn"] = loader["collate_fn"]
    if isinstance(kept["visualizer"], dict):
        # Some write to a folder of the config's choice, or send pictures to a server.
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
        return is_at_hand(value)
    if "://" in value or value.startswith(("//", "\\\\")):  # addresses, of shares too
        return False
    if name == "dict_file":
        return True
    if name == "type":
        return value in _NOT_REGISTERED or _may_be_built(value, unknown=False)
    if name == "collate_fn":
        return value in _COLLATES or _may_be_built(value, unknown=False)
    # Some classes look up in a registry what they get by an argument of another name than "type".
    # Of what has a dot MMEngine imports the part before it, whatever follows.
    top, dot, _ = value.partition(".")
    if dot:
        return not top or not _is_importable(top)
    return _may_be_built(value, unknown=True)


def _may_be_built(text: str, unknown: bool) -> bool:
    """Whether whatever is registered under a name is harmless, in whatever registry.

    A name that has a dot and is not registered MMEngine takes for a path to import, and calls what
    it finds. (Not so one word: registry_lookup.py.)

    Args:
        text: The name, with a scope before it or without.
        unknown: The answer if nothing has that name.
    """
    if _NAME.fullmatch(text) is None:
        return unknown
    scope, _, name = text.rpartition(".")
    if scope and scope not in {each.scope for each in _registries()}:
        return False
    known = [
        item for each in _registries() for key, item in each.module_dict.items() if key == name
    ]
    return all(_is_allowed(name, item.__module__) for item in known) if known else unknown


def _is_allowed(name: str, origin: str) -> bool:
    if origin.partition(".")[0] not in (*OPENMMLAB, "torch"):
        return True  # of this package, or of the user's own, who has imported it
    known = any(f"{origin}.".startswith(f"{module}.") for module in _MODULES)
    return known or name in _TRANSFORMS or name in _COLLATES


def _is_importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # a module that was made otherwise than by importing
        return True


def _registries() -> Iterator[registry.Registry]:
    """MMEngine's registries, and all that stand upon them."""
    registries = [each for each in vars(registry).values() if isinstance(each, registry.Registry)]
    while registries:
        each = registries.pop()
        yield each
        registries += each.children.values()
