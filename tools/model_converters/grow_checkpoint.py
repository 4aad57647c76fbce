r"""Initialise a larger LPV from a smaller trained one.

The larger model computes nearly the same at first, and learns to use its new parts. A feature map
of another height, as in LPV-Tiny's published configs, is new to the decoder; in the config of
the example, it is as low as LPV-Mini's (docs/training.md).

Example:
    python tools/model_converters/grow_checkpoint.py checkpoints/lpv-mini.pth \
        configs/textrecog/lpv/lpv-tiny_cpu_synth_low.py grown.pth
"""

from __future__ import annotations

import argparse
from pathlib import Path

from lpv_mmocr import cli
from lpv_mmocr.converters.growth import GrowthError, grow
from lpv_mmocr.engine import InitialWeightsError, load_checkpoint, save_checkpoint
from lpv_mmocr.engine.inference_config import NO_CONFIG, inference_config
from lpv_mmocr.engine.weights_fit import require_fit, weights_inside
from lpv_mmocr.reading.weights import find_weights

import torch
from mmengine.registry import init_default_scope
from mmocr.registry import MODELS

from lpv_mmocr_cli import new_parser


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument(
        "source",
        metavar="SRC",
        help="checkpoint of the smaller model, with its config; or the name of a bundled one, such "
        "as lpv-mini",
    )
    parser.add_argument("config", metavar="CONFIG", help="config of the larger model")
    parser.add_argument("target", type=Path, metavar="DST", help="file to write")
    parser.add_argument("--seed", type=int, default=0, help="seed of the new weights (default: 0)")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    with cli.ReportInputErrors(traceback=args.traceback):
        args.source = Path(find_weights(args.source))
        cli.require_source_and_target(args.source, args.target, "the smaller model")
        large_config = cli.load_config(args.config)
        cli.require(large_config, "model")
        checkpoint = load_checkpoint(args.source)
        init_default_scope("mmocr")
        config = inference_config(checkpoint, str(args.source), parts=["model"])
        if config is None:
            raise cli.InputError(
                f"{args.source} {NO_CONFIG}; without it, the size of its model is not known"
            )
        small = MODELS.build(config["model"])
        try:
            require_fit(small, checkpoint)
        except InitialWeightsError as error:
            raise cli.InputError(
                f"the weights in {args.source} are not of the model in its config. {error}"
            ) from error
        small.load_state_dict(
            weights_inside(checkpoint), strict=False
        )  # counts of batches may be missing
        torch.manual_seed(args.seed)
        large = MODELS.build(large_config.model)
        large.init_weights()
        try:
            grow(small, large)
        except GrowthError as error:
            raise cli.InputError(
                f"the model of {args.config} cannot start from {args.source}: {error}"
            ) from error
        save_checkpoint(
            dict(meta=dict(cfg=large_config.pretty_text), state_dict=large.state_dict()),
            str(args.target),
        )
    numbers = [sum(p.numel() for p in model.parameters()) for model in (small, large)]
    print(f"{args.target}: {numbers[0]:,} parameters have grown to {numbers[1]:,}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
