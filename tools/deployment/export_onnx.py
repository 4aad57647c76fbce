"""Export a checkpoint to an ONNX file that reads words without PyTorch.

The file takes batches of any size, and its metadata describes the preprocessing and the classes. It
is checked and compared with PyTorch before it gets its name. `python -m lpv_onnx FILE.onnx
IMAGE...` reads images with it; see docs/onnx.md.

Example:
    python tools/deployment/export_onnx.py lpv-tiny --out lpv-tiny.onnx
    python tools/deployment/export_onnx.py lpv-tiny --out lpv-tiny_int8.onnx --precision int8
    python tools/deployment/export_onnx.py lpv-tiny --out lpv-tiny.onnx --attention --mask off
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from lpv_mmocr_cli import new_parser

PRECISIONS = ("fp32", "fp16", "int8")


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument(
        "checkpoint",
        metavar="CHECKPOINT",
        help="checkpoint of an LPV, or the name of a bundled one, such as lpv-mini",
    )
    parser.add_argument("--config", help="config of the model (default: the one in the checkpoint)")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE.onnx", help="file to write"
    )
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="fp32",
        help="fp16 for GPUs; int8 for CPUs, faster there and 0.38 times the size (default: fp32)",
    )
    parser.add_argument(
        "--attention", action="store_true", help="add the attention maps of all stages as an output"
    )
    parser.add_argument(
        "--mask",
        choices=("on", "off"),
        help="whether the GLRMs hide a character's tokens from one another (default: as "
        "configured in the model)",
    )
    args = parser.parse_args(argv)
    if args.out.suffix != ".onnx":
        parser.error(f"--out must end in .onnx, got {args.out}")
    return args


if __name__ == "__main__":
    parse_args()  # --help and usage errors need not wait for the imports below

from lpv_mmocr import cli
from lpv_mmocr.deploy.onnx_export import OnnxExportError, export_onnx
from lpv_mmocr.reading.inferencer import build_inferencer
from lpv_mmocr.reading.weights import find_weights

from mmengine.logging import MMLogger


def export(args: argparse.Namespace) -> None:
    args.checkpoint = find_weights(args.checkpoint)
    inferencer = build_inferencer(args.checkpoint, args.config, "cpu")
    try:
        result = export_onnx(
            inferencer.model,
            inferencer.cfg,
            args.out,
            precision=args.precision,
            attention=args.attention,
            mask=None if args.mask is None else args.mask == "on",
            source=Path(args.checkpoint).name,
        )
    except (TypeError, OnnxExportError) as error:
        raise cli.InputError(str(error)) from error
    height, width = (result.metadata["preprocessing"][side] for side in ("height", "width"))
    mask = "on" if result.metadata["mask"] else "off"
    print(
        f"{result.path}: {result.size / 1e6:.1f} MB, {args.precision}, images {height}x{width} "
        f"(height x width), mask {mask}"
    )
    print(f"compared with PyTorch: {result.comparison}")


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    MMLogger.get_current_instance().setLevel("WARNING")
    # Silence the advice of the exporter and the quantiser, which is of no use here.
    logging.getLogger().setLevel("ERROR")
    with cli.ReportInputErrors(traceback=args.traceback), cli.sigterm_interrupts():
        export(args)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
