"""Count the multiply-accumulates and the parameters of a model.

Multiply-accumulates are for one image. Nothing is computed, so that counting takes no memory and
gives the same result on every machine.

Example:
    python tools/analysis_tools/get_flops.py configs/textrecog/lpv/lpv-tiny_stage2_10e_st_mj.py
    python tools/analysis_tools/get_flops.py CONFIG --shape 32 128
"""

from __future__ import annotations

import argparse

from lpv_mmocr import cli
from lpv_mmocr.benchmark.work import count_macs

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmocr.registry import MODELS

from lpv_mmocr_cli import add_config_options, new_parser


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    add_config_options(parser)
    parser.add_argument(
        "--shape",
        nargs=2,
        type=int,
        metavar=("HEIGHT", "WIDTH"),
        help="size of the image in pixels (default: img_size of the encoder)",
    )
    return parser.parse_args(argv)


def image_size(cfg: Config, shape: list[int] | None) -> tuple[int, int]:
    """Return height and width from the option, or else from the config.

    Raises:
        InputError: If neither specifies a size, or the option is not positive.
    """
    if shape is not None and min(shape) < 1:
        raise cli.InputError(f"--shape needs two positive numbers, got {shape[0]} {shape[1]}")
    size = shape or (cfg.model.get("encoder") or {}).get("img_size")
    if size is None:
        raise cli.InputError("the config's encoder has no img_size: give --shape HEIGHT WIDTH")
    if not (isinstance(size, list | tuple) and len(size) == 2):
        raise cli.InputError(f"img_size of the encoder must be height and width, got {size!r}")
    return tuple(size)


def image_channels(cfg: Config) -> int:
    """Return the number of channels, for each of which normalisation has a mean."""
    mean = (cfg.model.get("data_preprocessor") or {}).get("mean")
    return len(mean) if mean else 3


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    with cli.ReportInputErrors(traceback=args.traceback):
        cfg = cli.load_config(args.config, args.cfg_options)
        cli.require(cfg, "model")
        size = image_size(cfg, args.shape)
        init_default_scope(cfg.get("default_scope", "mmocr"))
        model = MODELS.build(cfg.model)
        trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
        macs = count_macs(model, size, channels=image_channels(cfg))
        print(f"image       {size[0]}x{size[1]} (height x width)")
        print(f"work        {macs / 1e9:.3f} GMAC")
        print(f"parameters  {trainable:,} trainable")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
