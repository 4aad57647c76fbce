r"""Compare the speed of recognisers.

Tasks: forward (the network), inference (from encoded image to text), train (a complete training
step), loader (from an LMDB to a batch). Models take turns, round by round, so that their ratios
hold even on a shared machine. Weights are random: speed does not depend on them. A model that
fails is reported, and the others are measured; with --traceback, its error ends the benchmark.

A model is NAME[:SWITCH...]. NAME is lpv-mini, -tiny, -small or -base; mmocr:svtr-tiny,
mmocr:svtr-base, mmocr:abinet-vision, mmocr:satrn-small or mmocr:crnn; mmocr:FOLDER/NAME of any
text recognition config of MMOCR; or a config file. SWITCH is fp32, bf16 or fp16, compile
(torch.compile), deploy (what the model's to_deploy() returns) or channels_last. Without deploy,
bf16 and fp16 mean autocast. onnx:FILE.onnx[:ENGINE] is a file written by
tools/deployment/export_onnx.py, run by onnxruntime (default), openvino or openvino-bf16.

Any other PyTorch recogniser can be added through an adapter, a function that returns a module and
the height and width of its images:

    # my_adapter.py
    def my_model():
        return MyModel().eval(), (32, 128)  # module(images), images (N, 3, H, W) in 0..1

The training step also needs a method loss(images, texts) of the module; tests/reference_lpv.py of
the source tree is an example.

Example:
    python tools/analysis_tools/benchmark.py --threads 2 --out work_dirs/benchmark
    python tools/analysis_tools/benchmark.py --models lpv-tiny lpv-tiny:bf16 lpv-tiny:deploy:bf16 \
        --batch-sizes 1 32
    python tools/analysis_tools/benchmark.py --models lpv-tiny --adapter my_adapter.py:my_model \
        --task forward train
    python tools/analysis_tools/benchmark.py --models lpv-tiny --sweep width --batch-sizes 32
    python tools/analysis_tools/benchmark.py --models lpv-tiny --task loader --data data/words
"""

from __future__ import annotations

import argparse
import math
import shlex
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lpv_mmocr_cli import new_parser

TASKS = ("forward", "inference", "train", "loader")
SWEEPS = ("batch", "width", "stages", "length")
MAX_THREADS = 1024  # OpenMP crashes far above


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    add = parser.add_argument
    add(
        "--models",
        nargs="+",
        metavar="NAME",
        help="models to measure (default without --adapter: all those with a name above)",
    )
    add(
        "--adapter",
        nargs="+",
        default=[],
        metavar="FILE.py:FUNCTION",
        help="functions that return further models to measure",
    )
    add("--baseline", metavar="NAME", help="model to compare with (default: the first)")
    add(
        "--task",
        nargs="+",
        choices=TASKS,
        default=["forward"],
        help="what to measure (default: forward)",
    )
    add(
        "--sweep",
        choices=SWEEPS,
        help="vary this and measure how the cost grows (forward and train)",
    )
    add(
        "--batch-sizes",
        nargs="+",
        type=int,
        metavar="N",
        help="images per call (default: 1 32 256; for train 32; for --sweep batch 1 2 4 ... 256)",
    )
    add("--device", help="such as cpu or cuda:1 (default: the first GPU, else the CPU)")
    add("--threads", type=int, help="number of CPU threads (default: PyTorch's choice)")
    add(
        "--rounds",
        type=int,
        default=11,
        help="number of rounds; medians are reported (default: 11)",
    )
    add(
        "--min-time",
        type=float,
        default=0.2,
        metavar="SECONDS",
        help="repeat calls within a round until they take this long (default: 0.2)",
    )
    add(
        "--data",
        metavar="FOLDER",
        help="LMDB for --task loader (default: a generated one with drawn words)",
    )
    add(
        "--workers",
        nargs="+",
        type=int,
        default=[0, 1, 2],
        metavar="N",
        help="worker processes for --task loader; 0: this process, on one core (default: 0 1 2)",
    )
    add(
        "--out",
        metavar="FOLDER",
        help="also write benchmark.json, benchmark.md and benchmark.png to this folder",
    )
    args = parser.parse_args(argv)
    positive = [args.rounds, *(args.batch_sizes or []), 1 if args.threads is None else args.threads]
    if min(positive) < 1 or min(args.workers) < 0 or not 0 <= args.min_time < math.inf:
        parser.error("--rounds, --batch-sizes and --threads must be positive, others not negative")
    if args.threads is not None and args.threads > MAX_THREADS:
        parser.error(f"--threads {args.threads}: {MAX_THREADS} at most")
    args.task = list(dict.fromkeys(args.task))
    if args.batch_sizes:
        args.batch_sizes = list(dict.fromkeys(args.batch_sizes))
    if args.sweep and not set(args.task) <= {"forward", "train"}:
        parser.error("--sweep goes with --task forward and train")
    return args


if __name__ == "__main__":
    parse_args()  # --help and usage errors need not wait for the imports below

from lpv_mmocr import cli
from lpv_mmocr.benchmark.figure import draw
from lpv_mmocr.benchmark.loading import LoadingMeasurement, run_loading, write_words
from lpv_mmocr.benchmark.machine import describe_machine
from lpv_mmocr.benchmark.measurement import Measurement
from lpv_mmocr.benchmark.report import Report
from lpv_mmocr.benchmark.specification import (
    DEFAULT_MODELS,
    Specification,
    check_labels,
    parse_adapter,
    parse_model,
)
from lpv_mmocr.benchmark.sweep import BATCHES, sweep
from lpv_mmocr.benchmark.tasks import BATCH_SIZES, Plan, check, run_task
from lpv_mmocr.reading.inferencer import check_device

import torch
from mmengine.logging import MMLogger

GENERATED_WORDS = 2000


def specifications(args: argparse.Namespace) -> list[Specification]:
    names = args.models or ([] if args.adapter else DEFAULT_MODELS)
    specs = [*map(parse_model, names), *map(parse_adapter, args.adapter)]
    return specs if args.sweep in (None, "batch") else sweep(args.sweep, specs)


def find_device(name: str | None) -> torch.device:
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise cli.InputError(f"--device {name}: no such kind of device; use cpu or cuda") from error
    if device.type not in ("cpu", "cuda"):
        raise cli.InputError(f"--device {name}: speed is measured on cpu and cuda only")
    check_device(name)
    if device.index is not None:
        # CUDA events and memory counters are those of the current device.
        torch.cuda.set_device(device)
    return device


def command_line() -> str:
    """Return the command that was typed, or an equivalent one."""
    name, *options = sys.argv
    start = name if name.startswith("lpv-mmocr ") else f"python {shlex.quote(name)}"
    return " ".join([start, *map(shlex.quote, options)])


def new_report(args: argparse.Namespace, specs: list[Specification], plan: Plan) -> Report:
    check(args.task, specs, plan.device)
    return Report(
        machine=describe_machine(plan.device),
        date=time.strftime("%Y-%m-%d"),
        command=command_line(),
        baseline=check_labels(specs, args.baseline),
        rounds=args.rounds,
        sweep=args.sweep,
    )


def measure(
    report: Report, args: argparse.Namespace, specs: list[Specification], plan: Plan
) -> None:
    for task in args.task:
        if task == "loader":
            report.loading += load_words(args, specs, plan)
        else:
            report.measurements += run(task, args, specs, report.baseline, plan)


def run(
    task: str, args: argparse.Namespace, specs: list[Specification], baseline: str, plan: Plan
) -> list[Measurement]:
    default = BATCHES if args.sweep == "batch" else BATCH_SIZES[task]
    return run_task(task, specs, args.batch_sizes or default, baseline, plan)


def load_words(
    args: argparse.Namespace, specs: list[Specification], plan: Plan
) -> list[LoadingMeasurement]:
    if args.data:
        if not Path(args.data).is_dir():
            raise cli.InputError(f"--data {args.data}: there is no such folder")
        return run_loading(specs, Path(args.data), args.workers, plan)
    with tempfile.TemporaryDirectory() as folder:
        plan.progress(f"loader: generating {GENERATED_WORDS} words")
        write_words(Path(folder, "words"), GENERATED_WORDS)
        return run_loading(specs, Path(folder, "words"), args.workers, plan)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence warnings and logs of other libraries, so that only the table is printed."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel("ERROR")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logger.setLevel(level)


def publish_report(report: Report, folder: str | None, plan: Plan) -> None:
    try:  # files first, since the standard output may be closed
        if folder:
            report.write(Path(folder))
            draw(report, Path(folder, "benchmark.png"))
            plan.progress(f"wrote benchmark.* to {folder}")
    finally:  # also if a disk is full
        print(report.to_markdown(), end="")


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    with cli.ReportInputErrors(traceback=args.traceback), quiet():
        if args.threads:
            torch.set_num_threads(args.threads)
        if args.out:
            cli.require_folder(args.out, "--out")
            for ending in ("json", "md", "png"):
                cli.require_new_file(Path(args.out, f"benchmark.{ending}"), "--out")
        plan = Plan(
            device=find_device(args.device),
            rounds=args.rounds,
            min_seconds=args.min_time,
            strict=args.traceback,
            progress=lambda line: print(line, file=sys.stderr, flush=True),
        )
        specs = specifications(args)
        report = new_report(args, specs, plan)
        try:
            measure(report, args, specs, plan)
        except BaseException:
            # Keep what was measured, but do not replace a complete earlier report.
            if report.measurements or report.loading:
                whole = args.out and Path(args.out, "benchmark.json").exists()
                publish_report(report, None if whole else args.out, plan)
            raise
        publish_report(report, args.out, plan)
    return 1 if any(measurement.error for measurement in report.measurements) else 0


if __name__ == "__main__":
    raise SystemExit(main())
