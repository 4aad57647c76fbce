"""Turn a checkpoint of the released LPV code into one that MMOCR loads.

Size, GLRM layers, image size and number of classes are read off the file. It does not say whether
the model was trained with the GLRM mask (training stage 2): that is assumed unless --no-mask is
given.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

import lpv_mmocr
from lpv_mmocr.engine import CheckpointError, load_checkpoint, save_checkpoint
from lpv_mmocr.models.released import (
    RELEASED_CHARACTERS,
    ReleasedLayout,
    check_constants,
    convert_state_dict,
    recognise_layout,
    strip_prefixes,
)

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmocr.registry import MODELS

CONFIG = "lpv_mmocr::textrecog/lpv/lpv-tiny_stage{stage}_10e_st_mj.py"
MAX_NAMES = 5
EXAMPLE = """example:
  python tools/model_converters/official_to_mmocr.py LPV_Tiny.pth checkpoints/lpv-tiny.pth
"""


class ConversionError(Exception):
    """The file cannot be converted; the message says why."""


def find_state_dict(checkpoint: object) -> dict[str, torch.Tensor]:
    """The weights in a checkpoint, alone or under a key of their own, without wrappers' prefixes.

    Raises:
        ConversionError: If there are none.
    """
    candidates = [checkpoint]
    if isinstance(checkpoint, Mapping):
        candidates += [checkpoint.get("state_dict"), checkpoint.get("model")]
    for candidate in candidates:
        if (
            isinstance(candidate, Mapping)
            and candidate
            and all(isinstance(value, torch.Tensor) for value in candidate.values())
        ):
            return strip_prefixes(candidate)
    raise ConversionError("it holds no weights: neither tensors by name, nor such under state_dict")


def build_config(layout: ReleasedLayout, characters: str, with_mask: bool) -> Config:
    """The released recipe's config with the layout's numbers in it."""
    cfg = Config.fromfile(CONFIG.format(stage=2 if with_mask else 1))
    cfg.merge_from_dict(dict(model=layout.model_config(characters, with_mask)))
    height, width = layout.img_size
    dataloaders = (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader)
    pipelines = [cfg.train_pipeline, cfg.test_pipeline, *(d.dataset.pipeline for d in dataloaders)]
    for transform in (cfg.resize, *(step for pipeline in pipelines for step in pipeline)):
        if transform.type == "Resize":
            transform.scale = (width, height)
    return cfg


def convert(source: Path, with_mask: bool = True, characters: str | None = None) -> dict:
    """Convert a released checkpoint.

    Args:
        source: File of the released code.
        with_mask: Whether it was trained with the GLRM mask.
        characters: The model's characters in the order of its classes; known for 36 and for 94.

    Returns:
        A checkpoint with ``state_dict`` and, in ``meta``, the config as text.

    Raises:
        ConversionError: If the file is not a released checkpoint, or a damaged one.
    """
    try:
        state = find_state_dict(load_checkpoint(source))
        layout = recognise_layout(state)
        check_constants(state, layout)
        converted = convert_state_dict(state)
    except KeyError as error:
        raise ConversionError(
            f"it is not a checkpoint of the released LPV code, or not a whole one: {error.args[0]} "
            f"is {'left over' if error.args[0] in state else 'missing'}"
        ) from error
    except (CheckpointError, ValueError, OSError) as error:
        raise ConversionError(str(error)) from error

    if characters is None:
        characters = RELEASED_CHARACTERS.get(layout.num_characters)
    if characters is None or len(characters) != layout.num_characters:
        given = "none are given" if characters is None else f"{len(characters)} are given"
        raise ConversionError(
            f"the model has {layout.num_characters} characters, but {given}: name them in the "
            "order of its classes with --characters"
        )
    cfg = build_config(layout, characters, with_mask)
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    keys = model.load_state_dict(converted, strict=False)
    if keys.missing_keys or keys.unexpected_keys:
        raise ConversionError(
            f"the file does not fill the model: {_some(keys.missing_keys)} missing, "
            f"{_some(keys.unexpected_keys)} left over"
        )
    meta = dict(cfg=cfg.pretty_text, source=source.name, lpv_mmocr_version=lpv_mmocr.__version__)
    return dict(meta=meta, state_dict=model.state_dict())


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:MAX_NAMES]) or "none"
    return shown + (f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else "")


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, metavar="SRC", help="checkpoint of the released code")
    parser.add_argument("target", type=Path, metavar="DST", help="file to write")
    parser.add_argument(
        "--no-mask", action="store_true", help="the model was trained in stage 1 only"
    )
    parser.add_argument("--characters", help="the model's characters, unless there are 36 or 94")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    args = parse_args(argv)
    try:
        checkpoint = convert(args.source, not args.no_mask, args.characters)
    except ConversionError as error:
        print(f"{args.source}: {error}", file=sys.stderr)
        return 2
    args.target.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(checkpoint, str(args.target))
    # BatchNorm's statistics are buffers, everything else is trained.
    trained = {
        name: value
        for name, value in checkpoint["state_dict"].items()
        if not name.endswith(("running_mean", "running_var", "num_batches_tracked"))
    }
    megabytes = args.target.stat().st_size / 1e6
    parameters = sum(value.numel() for value in trained.values())
    print(f"{args.target}: {parameters:,} trainable parameters, {megabytes:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
