"""Try a model in the browser: drop an image of a word, see text, confidence and attention.

Needs Gradio: pip install 'lpv-mmocr[demo]'

Example:
    lpv-mmocr demo
    lpv-mmocr demo --weights lpv-mini --port 8000
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import threading

from lpv_mmocr_cli import new_parser

ENDS = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP")  # the last, if its terminal is closed
    if hasattr(signal, name)  # Windows has no SIGHUP
]


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    add = parser.add_argument
    add(
        "--weights",
        metavar="FILE",
        help="checkpoint, or the name of a bundled one, such as lpv-mini (default: the one "
        "named by LPV_WEIGHTS, else the bundled default)",
    )
    add("--config", help="config of the model (default: the one in the checkpoint)")
    add("--device", help="such as cpu or cuda:1 (default: the first GPU, else the CPU)")
    add(
        "--no-tta",
        dest="tta",
        action="store_false",
        help="read each image once, without test-time augmentation of low-confidence words",
    )
    add(
        "--host",
        default="127.0.0.1",
        help="address to listen on (default: 127.0.0.1, which only this machine reaches)",
    )
    add("--port", type=int, help="port to listen on (default: the first free one from 7860)")
    args = parser.parse_args(argv)
    if args.port is not None and not 0 < args.port < 65536:
        parser.error(f"--port must be from 1 to 65535, got {args.port}")
    return args


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    # Slow imports are deferred until the options are known to be valid.
    from lpv_mmocr import cli
    from lpv_mmocr.demo.address import check_address
    from lpv_mmocr.demo.server import serve
    from lpv_mmocr.reading import WordReader

    with cli.ReportInputErrors(traceback=args.traceback):
        check_address(args.host, args.port)  # before the model is loaded
        reader = WordReader(
            args.weights, args.config, device=args.device, attention=True, tta=args.tta
        )
        end = cli.interrupt_once(*ENDS)  # further ones must not disturb the deletion of uploads
        for number in ENDS:
            # Ctrl+C always ends it; other signals may be ignored on purpose, as by nohup.
            if number == signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, end)
        page = serve(reader, host=args.host, port=args.port)
        with page as address, contextlib.suppress(KeyboardInterrupt):
            # A signal may come before print returns: whoever reads the line may send it at once.
            print(f"The page is at {address} (Ctrl+C ends it)", flush=True)
            threading.Event().wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
