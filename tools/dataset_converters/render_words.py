r"""Render words into an LMDB for training.

Example:
    python tools/dataset_converters/render_words.py --out data/synth/words --num 100000 --workers 8
    python tools/dataset_converters/render_words.py --out data/synth/digits --num 5000 \
        --charset digits --max-length 4 --difficulty easy
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from lpv_mmocr_cli import new_parser

DIFFICULTIES = ("easy", "full")


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    add = parser.add_argument
    add("--out", help="folder of the LMDB to write")
    add("--num", type=int, default=100_000, help="number of images (default: 100000)")
    add("--workers", type=int, default=1, help="number of processes (default: 1)")
    add(
        "--seed",
        type=int,
        default=0,
        help="random seed; the same seed gives the same images (default: 0)",
    )
    add(
        "--words",
        metavar="FILE",
        help="words, one per line, each with an optional TAB and weight (default: English words)",
    )
    add(
        "--words-only",
        action="store_true",
        help="render no numbers, prices, dates, codes and the like",
    )
    add(
        "--as-listed",
        action="store_true",
        help="render the words exactly as they are in the list: in their own case, without added "
        "punctuation, and not joined; implies --words-only",
    )
    add(
        "--fonts", nargs="+", default=[], metavar="DIR", help="more folders of fonts, or font files"
    )
    add(
        "--no-system-fonts",
        action="store_true",
        help="use only the fonts of --fonts",
    )
    add(
        "--charset",
        help="digits, lower, upper, letters, alnum, printable, or the characters themselves "
        "(default: printable, and the characters of --words)",
    )
    add("--min-length", type=int, default=1, help="minimum number of characters (default: 1)")
    add("--max-length", type=int, default=25, help="maximum number of characters (default: 25)")
    add(
        "--difficulty",
        choices=DIFFICULTIES,
        default="full",
        help="preset of settings (default: full)",
    )
    add(
        "--set",
        nargs="+",
        default=[],
        metavar="NAME=VALUE",
        help="change fields of the preset, e.g. blur_prob=0.2 blur=0.01,0.05",
    )
    add("--sheet", metavar="FILE.png", help="also write a contact sheet of the first samples")
    add("--sheet-count", type=int, default=200, help="samples on the sheet (default: 200)")
    add(
        "--restart",
        action="store_true",
        help="discard the output of an interrupted run instead of resuming it",
    )
    args = parser.parse_args(argv)
    if not args.out and not args.sheet:
        parser.error("give --out FOLDER, --sheet FILE.png, or both")
    return args


if __name__ == "__main__":
    parse_args()  # --help and usage errors need not wait for the imports below

from lpv_mmocr import cli
from lpv_mmocr.progress import progress_bar
from lpv_mmocr.rendering import (
    FontLibrary,
    RenderConfig,
    TextSampler,
    WordList,
    WordRenderer,
    default_words,
    preset,
    read_words,
    resolve_charset,
)
from lpv_mmocr.rendering.contact_sheet import write_contact_sheet
from lpv_mmocr.rendering.lmdb_job import remove_partial, render_lmdb


def changed(config: RenderConfig, settings: list[str]) -> RenderConfig:
    """Return the configuration with ``name=value`` settings applied."""
    changes = {}
    for setting in settings:
        name, mark, value = setting.partition("=")
        try:
            numbers = tuple(float(part) for part in value.split(","))
        except ValueError:
            numbers = ()
        if not mark or len(numbers) not in (1, 2):
            raise ValueError(f"--set takes NAME=NUMBER or NAME=LOW,HIGH, got {setting!r}")
        changes[name] = numbers[0] if len(numbers) == 1 else numbers
    return config.replace(**changes)


def characters_of(words: WordList, fonts: FontLibrary) -> str:
    """Return the characters of words, and their other letter case if fonts have it."""
    own = set("".join(words.words))
    forms = {form for char in own for form in (char.upper(), char.lower()) if len(form) == 1} - own
    return "".join(sorted(own | (forms - set(fonts.uncovered(forms)))))


def make_renderer(
    fonts: FontLibrary, words: WordList, config: RenderConfig, charset: str, lengths: tuple
) -> WordRenderer:
    texts = TextSampler(
        config, words, charset=charset, min_length=lengths[0], max_length=lengths[1]
    )
    return WordRenderer(fonts, texts, config)


def run(args: argparse.Namespace) -> None:
    if args.seed < 0:
        raise cli.InputError(f"--seed must not be negative, got {args.seed}")
    for name in ("num", "workers", "sheet_count"):
        if getattr(args, name) < 1:
            option = name.replace("_", "-")
            raise cli.InputError(f"--{option} must be positive, got {getattr(args, name)}")
    if args.sheet:
        cli.require_new_file(args.sheet, "--sheet", cli.FIGURE_SUFFIXES)
    config = changed(preset(args.difficulty), args.set)
    if args.words_only or args.as_listed:
        config = config.replace(kinds={"word": 1.0})
    if args.as_listed:
        config = config.replace(cases={"listed": 1.0}, compound_prob=0.0, punctuation_prob=0.0)
    words = read_words(args.words) if args.words else default_words()
    fonts = FontLibrary.from_folders(
        args.fonts,
        system=not args.no_system_fonts,
        workers=args.workers,
        show_progress=True,
    )
    charset = resolve_charset(args.charset or "printable")
    if args.words and not args.charset:
        charset = resolve_charset(charset + characters_of(words, fonts))
    build = partial(
        make_renderer, fonts, words, config, charset, (args.min_length, args.max_length)
    )
    renderer = build()  # Bad settings fail here, before any process starts.
    print(f"{len(fonts)} fonts of {len(fonts.families)} families, {renderer.describe_words()}")
    if args.sheet:
        write_contact_sheet(renderer, args.sheet, count=args.sheet_count, seed=args.seed)
        print(f"wrote {args.sheet}")
    if not args.out:
        return
    if args.restart:
        remove_partial(args.out)
    recipe = {
        "config": config.to_dict(),
        "charset": charset,
        "lengths": [args.min_length, args.max_length],
        "words": words.digest(),
        "fonts": fonts.digest(),
    }
    written = write(args, build, recipe)
    print(f"wrote {args.num} words to {args.out}" if written else f"{args.out} is already complete")


def write(args: argparse.Namespace, build, recipe: dict) -> bool:
    with progress_bar(args.num, "rendering") as advance:
        return render_lmdb(
            Path(args.out),
            count=args.num,
            seed=args.seed,
            make_renderer=build,
            recipe=recipe,
            workers=args.workers,
            on_start=partial(advance, earlier=True),
            on_progress=advance,
        )


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    with cli.ReportInputErrors(traceback=args.traceback):
        try:
            with cli.sigterm_interrupts():
                run(args)
        except KeyboardInterrupt:
            print("interrupted; the same command continues", file=sys.stderr)
            return cli.EXIT_INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
