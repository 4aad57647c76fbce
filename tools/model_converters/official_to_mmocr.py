"""Convert a checkpoint of the released LPV code into one that MMOCR loads.

Size, GLRM layers, image size and number of classes are inferred from the weights. Whether the model
was trained with the GLRM mask (training stage 2) cannot be inferred: it is assumed unless
--no-mask is given.

Example:
    python tools/model_converters/official_to_mmocr.py LPV_Tiny.pth lpv-tiny.pth
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from lpv_mmocr_cli import new_parser


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("source", type=Path, metavar="SRC", help="checkpoint of the released code")
    parser.add_argument("target", type=Path, metavar="DST", help="file to write")
    parser.add_argument(
        "--no-mask",
        action="store_true",
        help="for a model trained in stage 1 only, without the mask",
    )
    parser.add_argument(
        "--characters",
        help="the model's characters in the order of its classes (default: the released 36 or 94)",
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    parse_args()  # --help and usage errors need not wait for the imports below

import lpv_mmocr
from lpv_mmocr import cli
from lpv_mmocr.converters.released import (
    RELEASED_CHARACTERS,
    ReleasedLayout,
    check_constants,
    check_numbers,
    convert_state_dict,
    is_constant,
    recognise_layout,
    rename,
    strip_prefixes,
)
from lpv_mmocr.engine import CheckpointError, load_checkpoint, save_checkpoint
from lpv_mmocr.engine.weights_fit import mismatches
from lpv_mmocr.evaluation.text_protocol import TextProtocol
from lpv_mmocr.models import CharacterDictionary

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmocr.registry import MODELS

CONFIG = "lpv_mmocr::textrecog/lpv/lpv-tiny_stage{stage}_10e_st_mj.py"
CASED_CONFIG = "lpv_mmocr::textrecog/lpv/lpv-tiny_stage1_10e_st_mj_94chars.py"
MAX_NAMES = 5


class ConversionError(Exception):
    """The file cannot be converted; the message says why."""


def find_state_dict(checkpoint: object) -> dict[str, torch.Tensor]:
    """Return the weights of a checkpoint, bare or under a key, without wrappers' prefixes.

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
            nameless = [key for key in candidate if not isinstance(key, str)]
            if nameless:
                raise ConversionError(f"one of its weights has {nameless[0]!r} for a name")
            return strip_prefixes(candidate)
    raise ConversionError("it holds no weights: no named tensors, alone or under state_dict")


def build_config(layout: ReleasedLayout, characters: str, with_mask: bool) -> Config:
    """Return the released recipe's config with the numbers of the layout.

    If the characters include upper case, the case-sensitive recipe is used: labels keep their case,
    and the evaluation counts it too. That recipe trains from scratch, with or without the mask.
    Characters that :class:`BenchmarkMetric` does not compare are counted by MMOCR's ``WordMetric``.
    """
    cased = characters != characters.lower()
    cfg = Config.fromfile(CASED_CONFIG if cased else CONFIG.format(stage=2 if with_mask else 1))
    cfg.merge_from_dict(dict(model=layout.model_config(characters, with_mask)))
    sources = cfg.train_dataloader.dataset.datasets
    if cased:
        cfg.characters = characters
        for label_filter in (cfg.label_filter, *(source.label_filter for source in sources)):
            label_filter.charset = characters
    elif characters != RELEASED_CHARACTERS[36]:
        for source in sources:
            source.label_filter = dict(charset=characters)
    if TextProtocol(case_sensitive=cased).reduce(characters) != characters:
        metric = dict(type="WordMetric", mode=["exact" if cased else "ignore_case"])
        for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
            evaluator.metrics = [*evaluator.metrics, metric]
    height, width = layout.img_size
    dataloaders = (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader)
    pipelines = [cfg.train_pipeline, cfg.test_pipeline, *(d.dataset.pipeline for d in dataloaders)]
    pipelines += cfg.tta_pipeline[-1].transforms
    for transform in (cfg.resize, *(step for pipeline in pipelines for step in pipeline)):
        if transform.type == "Resize":
            transform.scale = (width, height)
    return cfg


def convert(source: Path, with_mask: bool = True, characters: str | None = None) -> dict:
    """Convert a released checkpoint.

    Args:
        source: Checkpoint of the released code.
        with_mask: Whether the model was trained with the GLRM mask.
        characters: The model's characters in the order of its classes; None for the released 36 or
            94.

    Returns:
        Checkpoint with ``state_dict`` and, in ``meta``, the config as text.

    Raises:
        ConversionError: If the file is not a released checkpoint, is damaged, or has another number
            of characters.
    """
    try:
        state = find_state_dict(load_checkpoint(source))
        check_numbers(state)
        layout = recognise_layout(state)
        check_constants(state, layout)
        names = {rename(name): name for name in state if not is_constant(name)}
    except KeyError as error:
        raise ConversionError(
            f"it is not a checkpoint of the released LPV code, or incomplete: {error.args[0]} "
            f"is {'left over' if error.args[0] in state else 'missing'}"
        ) from error
    except (CheckpointError, ValueError, OSError) as error:
        raise ConversionError(str(error).removeprefix(f"{source} ")) from error

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
    try:
        model = MODELS.build(cfg.model)
    except ValueError as error:
        raise ConversionError(f"no model of its layout can be built: {error}") from error
    check_fit(model.state_dict(), state, names)
    model.load_state_dict(convert_state_dict(state))
    meta = dict(cfg=cfg.pretty_text, source=source.name, lpv_mmocr_version=lpv_mmocr.__version__)
    return dict(meta=meta, state_dict=model.state_dict())


def check_fit(
    wanted: Mapping[str, torch.Tensor], state: Mapping[str, torch.Tensor], names: Mapping[str, str]
) -> None:
    """Check that a file holds exactly the weights of a model.

    Args:
        wanted: State dict of our model.
        state: Released state dict.
        names: Map from our names to the released ones.

    Raises:
        ConversionError: If a name or a shape does not fit.
    """
    missing = [name for name in wanted if name not in names]
    left_over = [names[name] for name in names if name not in wanted]
    if missing or left_over:
        raise ConversionError(
            f"the file does not fill the model: {_some(missing)} missing, "
            f"{_some(left_over)} left over"
        )
    # The order of classes does not matter here: it changes no shape.
    problems = mismatches({names[name]: value for name, value in wanted.items()}, state)
    if problems:
        raise ConversionError(f"the file does not fill the model: {_some(problems)}")


def check_options(source: Path, target: Path, characters: str | None) -> None:
    """Check the options before any work is done.

    Args:
        source: File to read.
        target: File to write; its folder is created.
        characters: The model's characters, or None.

    Raises:
        cli.InputError: If an option is invalid.
    """
    cli.require_source_and_target(source, target, "the released file")
    if characters is not None:
        try:
            CharacterDictionary(characters)
        except ValueError as error:
            raise cli.InputError(f"--characters: {error}") from error


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:MAX_NAMES]) or "none"
    return shown + (f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else "")


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    args = parse_args(argv)
    with cli.ReportInputErrors(traceback=args.traceback):
        check_options(args.source, args.target, args.characters)
        try:
            checkpoint = convert(args.source, not args.no_mask, args.characters)
        except ConversionError as error:
            raise cli.InputError(f"{args.source}: {error}") from error
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
