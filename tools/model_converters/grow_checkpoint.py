r"""Start a larger LPV from a smaller one that is trained.

What the smaller model has learned becomes a part of the larger one, which begins near its accuracy
and trains from there: in minutes where it would take an hour to come as far from random weights.

Example:
    python tools/model_converters/grow_checkpoint.py checkpoints/lpv-mini.pth \
        configs/textrecog/lpv/lpv-tiny_stage2_10e_st_mj.py grown.pth
    python tools/train.py CONFIG --cfg-options load_from=grown.pth
"""

from __future__ import annotations

import argparse
from pathlib import Path

from lpv_mmocr import cli
from lpv_mmocr.engine import load_checkpoint, save_checkpoint
from lpv_mmocr.engine.atomic_file_backend import ATOMIC_BACKEND
from lpv_mmocr.engine.weights_hooks import require_fit
from lpv_mmocr.models.growth import GrowthError, grow

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmocr.registry import MODELS


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "source", type=Path, metavar="SRC", help="checkpoint of the smaller model, config inside"
    )
    parser.add_argument("config", metavar="CONFIG", help="config of the larger model")
    parser.add_argument("target", type=Path, metavar="DST", help="file to write")
    parser.add_argument(
        "--seed", type=int, default=0, help="of the weights that are new (default: 0)"
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    with cli.ReportInputErrors():
        cli.require_file(str(args.source), "checkpoint")
        cli.require_new_file(args.target, "DST")
        large_config = cli.load_config(args.config)
        cli.require(large_config, "model")
        checkpoint = load_checkpoint(args.source)
        text = checkpoint.get("meta", {}).get("cfg")
        if text is None:
            raise cli.InputError(
                f"{args.source} has no config inside, which says how large its model is"
            )
        init_default_scope("mmocr")
        small = MODELS.build(Config.fromstring(text, file_format=".py").model)
        require_fit(small, checkpoint)
        small.load_state_dict(checkpoint["state_dict"])
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
            dict(
                meta=dict(cfg=large_config.pretty_text),
                state_dict=large.state_dict(),
            ),
            str(args.target),
            backend_args=dict(backend=ATOMIC_BACKEND),
        )
    numbers = [sum(p.numel() for p in model.parameters()) for model in (small, large)]
    print(f"{args.target}: {numbers[0]:,} parameters have grown to {numbers[1]:,}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
