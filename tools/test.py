"""Evaluate a checkpoint.

Example:
    python tools/test.py configs/textrecog/lpv/lpv-tiny_stage2_10e_st_mj.py lpv-tiny
    python tools/test.py CONFIG CHECKPOINT --save-preds --show-dir figures
    python tools/test.py CONFIG CHECKPOINT --show-dir figures --show-attention
    python tools/test.py CONFIG CHECKPOINT --report report
    python tools/test.py CONFIG CHECKPOINT --deploy bf16
    bash tools/dist_test.sh CONFIG CHECKPOINT 4
"""

from __future__ import annotations

import argparse
from contextlib import nullcontext
from pathlib import Path

from lpv_mmocr_cli import DTYPES, add_run_options, new_parser


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    add_run_options(parser)
    parser.add_argument(
        "checkpoint",
        help="checkpoint to evaluate, or the name of a bundled one, such as lpv-mini",
    )
    parser.add_argument(
        "--save-preds",
        nargs="?",
        const="auto",
        metavar="FILE.jsonl",
        help="write the predictions, one word per line with key, label, text and scores (default "
        "file: WORK_DIR/CHECKPOINT_predictions.jsonl, with a suffix such as _tta after CHECKPOINT)",
    )
    parser.add_argument(
        "--show-dir", metavar="DIR", help="draw every image with its prediction into DIR"
    )
    parser.add_argument(
        "--report",
        metavar="DIR",
        help="write DIR/report.html: scores, confusions, calibration and the worst errors",
    )
    parser.add_argument(
        "--show-attention",
        action="store_true",
        help="with --show-dir: draw the attention of every stage for every character",
    )
    parser.add_argument(
        "--tta", action="store_true", help="test-time augmentation with the config's tta_model"
    )
    parser.add_argument(
        "--deploy",
        nargs="?",
        const="fp32",
        choices=DTYPES,
        help="evaluate the deployed model, which is faster (default type: fp32, which reads the "
        "same words)",
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    parse_args()  # --help and usage errors need not wait for the imports below

from lpv_mmocr import cli
from lpv_mmocr.datasets.config_pipeline import steps_without_tta
from lpv_mmocr.deploy import DeployHook
from lpv_mmocr.engine import FittingWeightsHook, InitialWeightsHook, distributed
from lpv_mmocr.engine.config_characters import ignored_characters, warning_of_ignored
from lpv_mmocr.evaluation import UnreadableLabelsHook
from lpv_mmocr.evaluation.prediction_hooks import PredictionWriterHook, RecogVisualizationHook
from lpv_mmocr.evaluation.tested_model import variant
from lpv_mmocr.models import CPADecoder
from lpv_mmocr.reading.weights import find_weights
from lpv_mmocr.reporting import ReportPageHook
from lpv_mmocr.visualization import AttentionTextRecogVisualizer

from mmengine.config import Config


def enable_tta(cfg: Config) -> None:
    """Replace the config's plain pipeline and model with those for test-time augmentation.

    Raises:
        InputError: If the config has none, or they prepare images differently.
    """
    cli.require(cfg, "tta_model", "tta_pipeline")
    dataset = cfg.test_dataloader.dataset
    # A ConcatDataset may have one pipeline for all its parts, or each part its own.
    for part in [dataset, *dataset.get("datasets", [])]:
        if "pipeline" in part:
            if missing := steps_without_tta(part.pipeline, cfg.tta_pipeline):
                raise cli.InputError(
                    f"--tta would prepare images differently: tta_pipeline of {cfg.filename} has "
                    f"not the same {', '.join(missing)} as the pipeline of "
                    "test_dataloader.dataset. Change both alike"
                )
            part.pipeline = cfg.tta_pipeline
    cfg.model = {**cfg.tta_model, "module": cfg.model}


def enable_attention(cfg: Config, args: argparse.Namespace) -> None:
    """Make the decoder keep its attention, and the visualizer draw it.

    Raises:
        InputError: If there is no folder for the figures, another option excludes drawing, or the
            model has no CPADecoder.
    """
    if not args.show_dir:
        raise cli.InputError("--show-attention draws into a folder: give --show-dir DIR as well")
    for option in ("tta", "deploy"):
        if getattr(args, option):
            raise cli.InputError(f"--show-attention and --{option} exclude each other: drop one")
    decoder = cfg.model.get("decoder") or {}
    if decoder.get("type") not in ("CPADecoder", CPADecoder):
        raise cli.InputError(
            f"--show-attention needs a model with a CPADecoder, the decoder of {cfg.filename} is "
            f"{decoder.get('type')}"
        )
    decoder.keep_attention = True
    cfg.visualizer.type = AttentionTextRecogVisualizer.__name__


def add_hooks(cfg: Config, args: argparse.Namespace) -> None:
    """Add hooks that check the checkpoint and write predictions and figures."""
    # Requirements on the initial weights of a training run do not concern a test.
    hooks = [h for h in cfg.get("custom_hooks") or [] if h["type"] != InitialWeightsHook.__name__]
    hooks.append({"type": FittingWeightsHook.__name__})
    if args.save_preds:
        tested = f"{Path(args.checkpoint).stem}{variant(tta=args.tta, deployed=args.deploy)}"
        name = f"{tested}_predictions.jsonl"
        out_file = Path(cfg.work_dir, name) if args.save_preds == "auto" else args.save_preds
        cli.require_new_file(out_file, "--save-preds")
        hooks.append({"type": PredictionWriterHook.__name__, "out_file": str(out_file)})
    if args.show_dir:
        cli.require_folder(args.show_dir, "--show-dir")
        hooks.append({"type": RecogVisualizationHook.__name__, "out_dir": args.show_dir})
        # Write the figures into that folder only, not also into the log of the run.
        cfg.visualizer.vis_backends = []
    if args.report:
        hooks.append({"type": ReportPageHook.__name__, "out_dir": args.report})
    if args.deploy:
        hooks.append({"type": DeployHook.__name__, "dtype": args.deploy})
    cfg.custom_hooks = hooks


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    # Under a launcher, a process must end at once if another one failed.
    alone = args.launcher == "none"
    with (
        cli.ReportInputErrors(traceback=args.traceback) as report,
        cli.sigterm_interrupts() if alone else nullcontext(),
    ):
        cfg = cli.load_run_config(args)
        cli.require(cfg, "model", "test_dataloader", "test_evaluator", "test_cfg")
        if args.show_dir:
            cli.require(cfg, "visualizer")
        args.checkpoint = find_weights(args.checkpoint)
        cfg.load_from, cfg.resume = args.checkpoint, False
        if args.show_attention:
            enable_attention(cfg, args)
        if args.tta:
            enable_tta(cfg)
        add_hooks(cfg, args)
        runner = cli.build_runner(cfg)
        if ignored := ignored_characters(cfg, "test_evaluator"):
            runner.logger.warning(warning_of_ignored(ignored))
        runner.register_hook(report)
        runner.register_hook(UnreadableLabelsHook())
        runner.test()
    distributed.leave()
    return 0


if __name__ == "__main__":
    distributed.run(main)
