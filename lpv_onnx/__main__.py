"""Read images of words with an LPV in an ONNX file.

The file, written by tools/deployment/export_onnx.py, specifies how images are prepared and what
its classes mean. Words read with low confidence are read again, rotated, sheared and cropped, and
the most confident reading is kept (test-time augmentation).

Example:
    python -m lpv_onnx lpv.onnx word.jpg more/*.png
    python -m lpv_onnx lpv.onnx word.jpg --json --engine openvino

Exit status: 0 if all images were read, 1 if some could not be, 2 for bad input.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

if not __package__:  # run by path: python somewhere/lpv_onnx
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from lpv_onnx import ENGINES, Reader, json_line, printable, without_controls
from lpv_onnx.standard_streams import (
    EXIT_BAD_INPUT,
    EXIT_BROKEN_PIPE,
    EXIT_INTERRUPTED,
    discard_output,
    open_closed_streams,
)


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m lpv_onnx",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("model", metavar="MODEL.onnx", help="file written by tools/deployment/export_onnx.py")
    add("images", nargs="+", metavar="IMAGE", help="images of one word each")
    add("--json", action="store_true", help="print JSON lines, with all scores")
    add("--engine", choices=ENGINES, default=ENGINES[0], help="default: onnxruntime")
    add("--threads", type=int, metavar="N", help="default: the engine's choice")
    add("--no-tta", dest="tta", action="store_false", help="turn off test-time augmentation")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: Arguments without the program name; those of the process by default.

    Returns:
        Exit status.
    """
    open_closed_streams()
    args = parse_args(argv)
    try:
        reader = Reader(args.model, engine=args.engine, threads=args.threads, tta=args.tta)
    except (OSError, ValueError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    if hasattr(sys.stdout, "reconfigure"):  # file names need not be valid in any encoding
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        unreadable = _print_readings(reader, args.images, as_json=args.json)
        sys.stdout.flush()
    except OSError as error:  # of standard output: errors of images are part of the readings
        discard_output()
        if isinstance(error, BrokenPipeError):
            return EXIT_BROKEN_PIPE
        print(f"error: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return 1 if unreadable else 0


def _print_readings(reader: Reader, images: Sequence[str], *, as_json: bool) -> int:
    """Print the readings, and return how many images could not be read."""
    unreadable = 0
    for reading in reader.iterate(images):
        if reading.error is not None:
            unreadable += 1
            line = f"{reading.source} cannot be read: {reading.error}"
            print(printable(line), file=sys.stderr)
        if as_json:
            print(json_line(reading.to_dict(), sys.stdout.encoding))
        elif reading.error is None:
            text = without_controls(reading.text)
            print(f"{printable(str(reading.source))}\t{text}\t{reading.confidence:.4f}")
    return unreadable


if __name__ == "__main__":
    sys.exit(main())
