r"""Collect screened fonts (and words) for a machine that has none.

Example:
    python tools/dataset_converters/pack_fonts.py --out fontpack --max-mb 40 --words-out words.tsv
    python tools/dataset_converters/render_words.py --out data/synth/words --num 1000000 \
        --fonts fontpack --no-system-fonts --words words.tsv
"""

from __future__ import annotations

import argparse
import sys

from lpv_mmocr import cli
from lpv_mmocr.atomic_files import write_file
from lpv_mmocr.rendering import FontLibrary, default_words
from lpv_mmocr.rendering.font_pack import write_font_pack

from lpv_mmocr_cli import new_parser


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    add = parser.add_argument
    add("--out", required=True, help="folder for the font files")
    add("--max-mb", type=float, default=40.0, help="maximum size of the fonts in MB (default: 40)")
    add(
        "--latin-only",
        action="store_true",
        help="keep only the glyphs of English words: about four times as many fonts fit. Some "
        "licences do not allow this under the same font name",
    )
    add(
        "--fonts", nargs="+", default=[], metavar="DIR", help="more folders of fonts, or font files"
    )
    add("--no-system-fonts", action="store_true", help="use only the fonts of --fonts")
    add("--workers", type=int, default=1, help="number of processes for screening (default: 1)")
    add("--words-out", metavar="FILE", help="also write the default word list with its weights")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    with cli.ReportInputErrors(traceback=args.traceback):
        if args.words_out:
            cli.require_new_file(args.words_out, "--words-out")
        library = FontLibrary.from_folders(
            args.fonts,
            system=not args.no_system_fonts,
            workers=args.workers,
            show_progress=True,
        )
        files = write_font_pack(
            library, args.out, max_megabytes=args.max_mb, latin_only=args.latin_only
        )
        size = sum(file.stat().st_size for file in files) / 1e6
        usable = len({face.verdict.path for face in library.faces})
        print(f"wrote {len(files)} of {usable} font files, {size:.1f} MB, to {args.out}")
        if args.words_out:
            words = default_words()
            write_file(args.words_out, words.to_text())
            print(f"wrote {len(words)} words ({words.source}) to {args.words_out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
