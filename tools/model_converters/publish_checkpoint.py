"""Reduce a checkpoint of a training run to a small file for reading words.

The file holds the weights, averaged ones if training averaged them, and a config. Optimiser state
and log are left out.

Example:
    python tools/model_converters/publish_checkpoint.py work_dirs/run/iter_20000.pth lpv-tiny.pth
    python tools/model_converters/publish_checkpoint.py run/iter_20000.pth lpv.pth --dtype fp32
"""

from __future__ import annotations

import argparse
from pathlib import Path

from lpv_mmocr import cli
from lpv_mmocr.engine import InitialWeightsError, load_checkpoint, save_checkpoint
from lpv_mmocr.engine.inference_config import NO_CONFIG
from lpv_mmocr.engine.weights_fit import require_fit
from lpv_mmocr.reading import checksums

import torch
from mmengine.registry import init_default_scope
from mmocr.registry import MODELS

from lpv_mmocr_cli import new_parser

DTYPES = {"fp16": torch.float16, "fp32": torch.float32}
KEPT_META = (
    "cfg",
    "dataset_meta",
    "iter",
    "epoch",
    "seed",
    "mmengine_version",
    "lpv_mmocr_version",
)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("source", type=Path, metavar="SRC", help="checkpoint of a training run")
    parser.add_argument("target", type=Path, metavar="DST", help="file to write")
    parser.add_argument(
        "--config",
        help="config of the same model to store instead of that of the run, which may hold more "
        "than reading needs (default: the config of the run)",
    )
    parser.add_argument(
        "--dtype", choices=tuple(DTYPES), default="fp16", help="type of the weights (default: fp16)"
    )
    parser.add_argument(
        "--checksums",
        action="store_true",
        help=f"also record the file in {checksums.SUMS_NAME} next to it, in the format of "
        "sha256sum; bundled files are verified with it before use",
    )
    return parser.parse_args(argv)


def published(checkpoint: dict, dtype: torch.dtype, name: str) -> dict:
    """Return the part of a checkpoint that reading words needs.

    Args:
        checkpoint: The complete checkpoint.
        dtype: Float type of the weights.
        name: Name of the file in error messages.

    Raises:
        cli.InputError: If it has no config, or a weight is not finite in the dtype.
    """
    meta = checkpoint.get("meta", {})
    if "cfg" not in meta:
        raise cli.InputError(f"{name} {NO_CONFIG}: name one with --config")
    weights = {}
    for key, value in checkpoint["state_dict"].items():
        small = value.to(dtype) if value.is_floating_point() else value
        if not torch.isfinite(small).all():
            raise cli.InputError(f"{key} of {name} has values that {dtype} cannot hold")
        weights[key] = small.contiguous()
    return dict(meta={key: meta[key] for key in KEPT_META if key in meta}, state_dict=weights)


def with_config(checkpoint: dict, path: str) -> dict:
    """Return the checkpoint with another config, whose model its weights must fit.

    Raises:
        cli.InputError: If they do not.
    """
    cfg = cli.load_config(path)
    cli.require(cfg, "model", "test_dataloader")
    init_default_scope(cfg.get("default_scope", "mmocr"))
    try:
        require_fit(MODELS.build(cfg.model), checkpoint)
    except InitialWeightsError as error:
        raise cli.InputError(f"the weights are not of the model in {path}. {error}") from error
    return {**checkpoint, "meta": {**checkpoint.get("meta", {}), "cfg": cfg.pretty_text}}


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    with cli.ReportInputErrors(traceback=args.traceback):
        cli.require_source_and_target(args.source, args.target, "the checkpoint")
        if args.checksums:  # refused before anything is written
            checksums.read_sums(args.target.parent)
            if not args.target.name.isprintable():
                raise cli.InputError(f"{checksums.SUMS_NAME} cannot hold the name of DST")
        checkpoint = load_checkpoint(args.source)
        if not isinstance(checkpoint.get("state_dict"), dict):
            raise cli.InputError(
                f"{args.source} is not a checkpoint of a training run: it has no weights"
            )
        if args.config:
            checkpoint = with_config(checkpoint, args.config)
        checkpoint = published(checkpoint, DTYPES[args.dtype], str(args.source))
        save_checkpoint(checkpoint, str(args.target))
        if args.checksums:
            checksums.record(args.target)
    digest = checksums.sha256(args.target)
    print(f"{args.target}: {args.target.stat().st_size / 1e6:.1f} MB, sha256 {digest}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
