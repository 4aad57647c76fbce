"""Write the samples of an LMDB as image files, byte for byte, and a label file.

Images become OUT/images/000000001.jpg and so on, numbered as in the LMDB; more than 10,000 are
divided among folders. The label file's suffix determines its format: tsv, txt, jsonl or json (as
read by labels_to_lmdb.py).

Example:
    python tools/dataset_converters/lmdb_to_labels.py data/words --out words
    python tools/dataset_converters/lmdb_to_labels.py data/words --out words --labels words.jsonl
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from lpv_mmocr_cli import LABEL_FORMATS, new_parser


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    add = parser.add_argument
    add("lmdb", help="folder of the LMDB")
    add("--out", required=True, help="folder to write")
    add("--labels", default="labels.tsv", help="name of the label file (default: labels.tsv)")
    add("--format", choices=LABEL_FORMATS, help="format of the label file (default: by its suffix)")
    add("--no-check", action="store_true", help="do not check that the images can be decoded")
    add(
        "--skip-bad",
        action="store_true",
        help="leave out samples that cannot be read, and list them in OUT/left-out.tsv, instead of "
        "stopping at the first",
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    parse_args()  # --help and usage errors need not wait for the imports below

from lpv_mmocr import cli
from lpv_mmocr.datasets.conversion import LEFT_OUT_FILE, lmdb_to_labels


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    with cli.ReportInputErrors(traceback=args.traceback), cli.sigterm_interrupts():
        cli.require_folder(Path(args.out).parent, "--out", create=False)
        done = lmdb_to_labels(
            args.lmdb,
            args.out,
            labels=args.labels,
            format=args.format,
            check=not args.no_check,
            skip_bad=args.skip_bad,
            show_progress=True,
        )
        print(f"wrote {done.written:,} images and {args.labels} to {args.out}")
        if done.empty_texts:
            print(f"note: the text of {done.empty_texts:,} of them is empty")
        if done.left_out:
            print(f"left out {done.left_out:,} bad samples, listed in {args.out}/{LEFT_OUT_FILE}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
