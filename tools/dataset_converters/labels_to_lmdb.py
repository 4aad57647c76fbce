r"""Store a folder of word images and a label file in an LMDB, images byte for byte.

Label files: tsv (path TAB text), txt (path, space, text: MMOCR), jsonl (filename and text: MMOCR),
json (metainfo and data_list: MMOCR 1.x).

Example:
    python tools/dataset_converters/labels_to_lmdb.py words/labels.tsv --out data/words
    python tools/dataset_converters/labels_to_lmdb.py \
        Union14M-L/train_annos/mmocr-0.x/val_annos.jsonl --images Union14M-L \
        --out Union14M-L/val --skip-bad
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from lpv_mmocr_cli import LABEL_FORMATS, new_parser


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    add = parser.add_argument
    add("labels", help="label file, in UTF-8")
    add("--out", required=True, help="folder of the LMDB to write")
    add(
        "--images",
        metavar="DIR",
        help="folder that image paths are relative to (default: that of labels)",
    )
    add("--format", choices=LABEL_FORMATS, help="format of the label file (default: by its suffix)")
    add("--no-check", action="store_true", help="do not check that the images can be decoded")
    add(
        "--skip-bad",
        action="store_true",
        help="leave out bad and repeated images, and list them in OUT/left-out.tsv, instead of "
        "stopping at the first",
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    parse_args()  # --help and usage errors need not wait for the imports below

from lpv_mmocr import cli
from lpv_mmocr.datasets.conversion import LEFT_OUT_FILE, labels_to_lmdb


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    with cli.ReportInputErrors(traceback=args.traceback), cli.sigterm_interrupts():
        cli.require_file(args.labels, "label file")
        cli.require_folder(Path(args.out).parent, "--out", create=False)
        done = labels_to_lmdb(
            args.labels,
            args.out,
            images=args.images,
            format=args.format,
            check=not args.no_check,
            skip_bad=args.skip_bad,
            show_progress=True,
        )
        print(f"wrote {done.written:,} samples to {args.out}")
        if done.empty_texts:
            print(f"note: the text of {done.empty_texts:,} of them is empty")
        if done.edge_blanks:
            print(
                f"note: the text of {done.edge_blanks:,} of them begins or ends with white space, "
                "which a model cannot see but has to read: remove it unless it is meant. The first "
                f"is {done.first_edge_blank}"
            )
        if done.turned:
            print(
                f"note: {done.turned:,} of them have an EXIF orientation, which datasets ignore, "
                "so that they appear sideways or upside down: rotate them first, for example "
                f"with 'mogrify -auto-orient'. The first is {done.first_turned}"
            )
        if done.left_out:
            print(f"left out {done.left_out:,} bad samples, listed in {args.out}/{LEFT_OUT_FILE}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
