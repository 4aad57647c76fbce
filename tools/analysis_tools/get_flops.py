"""Count the work and the parameters of a model.

Work is in multiply-accumulates for one picture, counted without computing anything, so it takes no
memory and is the same on every machine.

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

from lpv_mmocr_cli import add_config_options


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_config_options(parser)
    parser.add_argument(
        "--shape",
        nargs=2,
        type=int,
        metavar=("HEIGHT", "WIDTH"),
        help="size of the picture in pixels (default: img_size of the encoder)",
    )
    return parser.parse_args(argv)


def picture_size(cfg: Config, shape: list[int] | None) -> tuple[int, int]:
    """Height and width from the option, or else from the config.

    Raises:
        InputError: If neither says it.
    """
    size = shape or (cfg.model.get("encoder") or {}).get("img_size")
    if size is None:
        raise cli.InputError("the config's encoder has no img_size: give --shape HEIGHT WIDTH")
    return tuple(size)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    with cli.ReportInputErrors(traceback=args.traceback):
        cfg = cli.load_config(args.config, args.cfg_options)
        cli.require(cfg, "model")
        size = picture_size(cfg, args.shape)
        init_default_scope(cfg.get("default_scope", "mmocr"))
        model = MODELS.build(cfg.model)
        trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
        macs = count_macs(model, size)
        print(f"picture     {size[0]}x{size[1]} (height x width)")
        print(f"work        {macs / 1e9:.3f} GMAC")
        print(f"parameters  {trainable:,} trainable")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
