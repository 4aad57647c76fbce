"""Show what is installed, and check that it reads and trains on this machine as on others.

Prints versions, the patches applied to installed packages, and a line for each check: the bundled
checkpoints, reading, also with deployed models, and ten training steps, on the CPU and on each GPU.
Include the output in bug reports.

Example:
    lpv-mmocr check
    lpv-mmocr check --device cuda:0

Exit status: 0 if all checks passed, 1 if not, 2 for bad input.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout, suppress

from lpv_mmocr_cli import new_parser, version

EXIT_FAILED = 1
NEEDED = ("torch", "torchvision", "mmengine", "mmcv", "mmdet", "mmocr", "numpy", "cv2", "PIL")
OPTIONAL = {"onnx": "onnx", "onnxruntime": "onnx", "gradio": "demo", "wordfreq": "words"}
"""Modules that few commands need, and the extra that installs each."""


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument(
        "--device", metavar="NAME", help="check only this device (default: the CPU and each GPU)"
    )
    return parser.parse_args(argv)


def installed() -> Iterator[tuple[str, str]]:
    """Yield modules and the distributions that provide them, with their versions."""
    distributions = importlib.metadata.packages_distributions()
    for module in (*NEEDED, *OPTIONAL):
        # An editable installation is listed twice; Python 3.10 lists only distributions with a file
        # top_level.txt, which NumPy lacks.
        brought_by = sorted(set(distributions.get(module, ())) or {module})
        versions = []
        for name in brought_by:
            with suppress(importlib.metadata.PackageNotFoundError):
                versions.append(f"{name} {importlib.metadata.version(name)}")
        hint = f" (pip install 'lpv-mmocr[{OPTIONAL[module]}]')" if module in OPTIONAL else ""
        yield module, ", ".join(versions) or f"not installed{hint}"


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    lines = [f"lpv-mmocr {version()} on {platform.platform()}, Python {platform.python_version()}"]
    lines += [f"  {module:<12} {versions}" for module, versions in installed()]
    try:
        print(*lines, sep="\n", flush=True)
    except OSError as error:
        from lpv_onnx import standard_streams

        standard_streams.discard_output()
        if isinstance(error, BrokenPipeError):  # such as a pipe to head
            return standard_streams.EXIT_BROKEN_PIPE
        print(f"error: {error}", file=sys.stderr)
        return standard_streams.EXIT_BAD_INPUT
    # Imported late, so that versions are printed even if that ends the process.
    try:
        from lpv_mmocr import cli
    except Exception as error:  # a broken installation may raise anything
        if args.traceback:
            raise
        print(f"FAILED  importing lpv_mmocr: {type(error).__name__}: {error}", flush=True)
        return EXIT_FAILED
    with cli.ReportInputErrors(traceback=args.traceback):
        return check(args.device)


def check(device: str | None) -> int:
    """Print patches and devices, run the checks, and return the exit status."""
    from lpv_mmocr import compat
    from lpv_mmocr.reading.inferencer import check_device
    from lpv_mmocr.self_check import available_devices, describe_device, self_check

    if device is not None:
        check_device(device)
    devices = available_devices() if device is None else [device]
    for patched in compat.apply():
        print(f"  patched      {patched}")
    for each in devices:
        print(f"  {each:<12} {describe_device(each)}")
    failed = 0
    results = sys.stdout
    with redirect_stdout(sys.stderr):  # output of libraries
        for outcome in self_check(devices):
            failed += outcome.failed
            mark = "FAILED" if outcome.failed else "ok"
            print(f"{mark:<7} {outcome.name}: {outcome.detail}", file=results, flush=True)
    print(f"{failed} failed" if failed else "All checks passed.")
    return EXIT_FAILED if failed else 0


if __name__ == "__main__":
    sys.exit(main())
