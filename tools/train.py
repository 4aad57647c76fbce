"""Train a model.

Example:
    python tools/train.py configs/textrecog/lpv/lpv-tiny_stage1_10e_st_mj.py --amp
    python tools/train.py CONFIG --work-dir runs/tiny --resume
    bash tools/dist_train.sh CONFIG 4
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from lpv_mmocr_cli import add_run_options, new_parser


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    add_run_options(parser)
    parser.add_argument(
        "--amp", action="store_true", help="train in mixed precision, on GPU or CPU"
    )
    parser.add_argument(
        "--resume",
        nargs="?",
        const="auto",
        metavar="CHECKPOINT",
        help="continue from this checkpoint or, without a value, from the last one in the work "
        "folder (from scratch if there is none)",
    )
    parser.add_argument(
        "--auto-scale-lr",
        action="store_true",
        help="scale the learning rate with the total batch size, relative to "
        "auto_scale_lr.base_batch_size of the config",
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    parse_args()  # --help and usage errors need not wait for the imports below

from lpv_mmocr import cli
from lpv_mmocr.datasets.shared_words import find_shared_lmdbs
from lpv_mmocr.engine import FittingWeightsHook, distributed
from lpv_mmocr.engine.amp import check_loss_scaling, enable_amp, replace_emulated_bfloat16
from lpv_mmocr.engine.checkpoint_search import (
    find_last_complete_checkpoint,
    why_not_resumable,
)
from lpv_mmocr.engine.config_characters import (
    ignored_characters,
    unknown_characters,
    untaught_characters,
    warning_of_ignored,
)
from lpv_mmocr.engine.resumed_schedule import ResumedScheduleHook
from lpv_mmocr.engine.schedule import check_one_cycle_length, check_signs, scale_absolute_rates
from lpv_mmocr.engine.work_folder import only_run_in
from lpv_mmocr.evaluation import UnreadableLabelsHook
from lpv_mmocr.reading.weights import find_weights
from lpv_mmocr.visible_text import listed

from mmengine.config import Config


def set_resume(cfg: Config, resume: str) -> None:
    """Set the checkpoint to resume; MMEngine would otherwise resume from ``load_from``."""
    if resume != "auto":
        cli.require_file(resume, "checkpoint")
        if "://" not in resume and (problem := why_not_resumable(Path(os.path.expanduser(resume)))):
            raise cli.InputError(
                f"--resume cannot continue: {problem}. To start a new run from the weights of a "
                f"checkpoint: --cfg-options load_from={resume}"
            )
        cfg.resume, cfg.load_from = True, resume
        return
    newest = find_last_complete_checkpoint(cfg.work_dir)
    if newest is None:
        if distributed.is_first_process():
            print(f"{cfg.work_dir} has no checkpoint to continue from: starting at iteration 0")
        cfg.resume = False
        return
    cfg.resume, cfg.load_from = True, newest


def initial_weights(name: str) -> str:
    """Return the path or address of the initial weights; bundled ones may be given by name."""
    try:
        return find_weights(name)
    except FileNotFoundError as error:
        raise cli.InputError(f"load_from: {error}") from error


def warn_of_an_earlier_run(folder: Path) -> None:
    """Warn if the folder holds checkpoints of an earlier run, which names do not tell apart."""
    earlier = sorted(file.name for file in folder.glob("*.pth"))
    if earlier and distributed.is_first_process():
        print(
            f"{folder} holds checkpoints of an earlier training run ({', '.join(earlier[:3])}"
            f"{', ...' if len(earlier) > 3 else ''}), which stay next to those of this one. "
            "To continue that run, use --resume; for another folder, --work-dir",
            file=sys.stderr,
        )


def warnings_about(cfg: Config) -> Iterator[str]:
    """Yield what is probably wrong with the data and metrics of a config."""
    shared: Sequence[str] = ()
    if distributed.is_first_process():  # it searches the folders
        shared = find_shared_lmdbs(cfg.train_dataloader, cfg.get("val_dataloader"))
    if shared:
        yield (
            f"Validation reads words of {', '.join(shared)} that are also trained on: its accuracy "
            "says little about other words. To keep some out, give the training set hold_out=n, "
            "and the same set in validation indices=-n"
        )
    if untaught := untaught_characters(cfg):
        yield (
            f"The model knows {len(untaught)} characters that no label of the training data can "
            f"have ({listed(untaught)}): the label filter, or letter_case of "
            "the loss, removes them. Give each dataset label_filter=dict(charset=..., "
            "case_sensitive=...), and if case matters module_loss=dict(letter_case='unchanged')"
        )
    for kind, unknown in unknown_characters(cfg).items():
        yield (
            f"The labels of {kind} may have {len(unknown)} characters that the model does not know "
            f"({listed(unknown)}): it learns to read nothing in their place. Remove them from its "
            "charset, or add them to the dictionary"
        )
    if ignored := ignored_characters(cfg, "val_evaluator"):
        yield warning_of_ignored(ignored)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    with cli.ReportInputErrors(traceback=args.traceback) as report, ExitStack() as at_end:
        cfg = cli.load_run_config(args)
        cli.require(cfg, "model", "train_dataloader", "train_cfg", "optim_wrapper")
        check_one_cycle_length(cfg)
        check_signs(cfg)
        if args.amp:
            enable_amp(cfg.optim_wrapper)
        check_loss_scaling(cfg.optim_wrapper)
        warnings = [*warnings_about(cfg)]
        if emulated := replace_emulated_bfloat16(cfg.optim_wrapper):
            warnings.append(emulated)
        if args.auto_scale_lr:
            if "base_batch_size" not in (cfg.get("auto_scale_lr") or {}):
                raise cli.InputError(
                    f"--auto-scale-lr needs auto_scale_lr = dict(base_batch_size=...) in "
                    f"{args.config}"
                )
            cfg.auto_scale_lr.enable = True
        if distributed.is_first_process():
            at_end.enter_context(only_run_in(Path(cfg.work_dir)))
        if args.resume:
            set_resume(cfg, args.resume)
        else:
            warn_of_an_earlier_run(Path(cfg.work_dir))
        if cfg.get("load_from") and not cfg.get("resume"):
            cfg.load_from = initial_weights(cfg.load_from)
        runner = cli.build_runner(cfg)
        scale_absolute_rates(runner)
        for warning in warnings:
            runner.logger.warning(warning)
        runner.register_hook(report)
        runner.register_hook(UnreadableLabelsHook())
        if cfg.get("resume"):
            runner.register_hook(ResumedScheduleHook())
        # A new run may take over some of the weights of another model.
        runner.register_hook(FittingWeightsHook(strict=bool(cfg.get("resume"))))
        runner.train()
    distributed.leave()
    return 0


if __name__ == "__main__":
    distributed.run(main)
