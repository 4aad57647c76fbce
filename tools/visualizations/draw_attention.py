"""Draw the attention of a model, the relations in its GLRMs, or its cascade.

--what attention (the default) draws the attention of every stage for every character, relations how
much the characters attend to one another in each GLRM, and strip the cascade from left to right.

Without an image, words are rendered, and the first one is used that the last stage reads correctly
and the first stage does not: the cascade at work. If there is none, it is the first one that the
last stage reads correctly.

Example:
    python tools/visualizations/draw_attention.py lpv-tiny word.jpg --truth word
    python tools/visualizations/draw_attention.py lpv-tiny word.jpg --what relations
    python tools/visualizations/draw_attention.py lpv-tiny --what strip --out strip.png
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from lpv_mmocr import cli
from lpv_mmocr.atomic_files import write_image
from lpv_mmocr.evaluation.text_protocol import ExactText
from lpv_mmocr.reading import Reading, WordReader
from lpv_mmocr.reading.image_loading import ImageError, load_image
from lpv_mmocr.rendering import RenderedWordDataset
from lpv_mmocr.visualization import draw_attention, draw_cascade_strip, draw_relations

import numpy as np
from PIL import Image

from lpv_mmocr_cli import new_parser

BATCH = 50


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument(
        "checkpoint",
        help="checkpoint, or the name of a bundled one, such as lpv-mini; its decoder "
        "must be a CPADecoder",
    )
    parser.add_argument("image", nargs="?", help="image of a word (default: a rendered word)")
    parser.add_argument(
        "--what",
        choices=("attention", "relations", "strip"),
        default="attention",
        help="drawing to make, see above (default: attention)",
    )
    parser.add_argument("--truth", metavar="TEXT", help="text in the image, to mark errors")
    parser.add_argument(
        "--exact",
        action="store_true",
        help="mark differences in case, punctuation and spaces as errors, too",
    )
    parser.add_argument("--config", help="config of the model (default: the one in the checkpoint)")
    parser.add_argument(
        "--device", help="such as cpu or cuda:1 (default: the first GPU, else the CPU)"
    )
    parser.add_argument(
        "--out", default="attention.png", help="file to write (default: attention.png)"
    )
    rendered = parser.add_argument_group("rendered words")
    rendered.add_argument("--seed", type=int, default=0, help="seed of the words (default: 0)")
    rendered.add_argument(
        "--count", type=int, default=400, help="maximum number of words (default: 400)"
    )
    rendered.add_argument(
        "--charset", default="lower", help="characters of the words (default: lower)"
    )
    rendered.add_argument(
        "--min-length", type=int, default=5, help="minimum number of characters (default: 5)"
    )
    rendered.add_argument(
        "--max-length", type=int, default=8, help="maximum number of characters (default: 8)"
    )
    args = parser.parse_args(argv)
    if args.truth is not None and not args.image:
        parser.error("--truth is the text of an image: name one (rendered words have their text)")
    if args.exact and (args.truth is None or args.what != "attention"):
        parser.error("--exact goes with --truth, and with --what attention")
    return args


def load_word(path: str) -> np.ndarray:
    """Load an image file as BGR.

    Raises:
        InputError: If it does not exist or cannot be read.
    """
    if not Path(path).is_dir():
        cli.require_file(path, "image")
    try:
        return load_image(path)
    except ImageError as error:
        raise cli.InputError(f"{path} is not an image that can be read: {error}") from error


def rendered_word(reader: WordReader, args: argparse.Namespace) -> tuple[Reading, str]:
    """Return a rendered word, if possible one that the first stage misreads, and its label.

    Raises:
        InputError: If the last stage reads none of the words.
    """
    renderer = RenderedWordDataset(
        difficulty="easy",
        charset=args.charset,
        min_length=args.min_length,
        max_length=args.max_length,
    ).renderer
    read_at_once = None
    for first in range(0, args.count, BATCH):
        numbers = range(first, min(first + BATCH, args.count))
        words = [renderer(args.seed, number) for number in numbers]
        readings = reader.read(word.image[..., ::-1] for word in words)
        for word, reading in zip(words, readings, strict=True):
            texts = reading.attention.stage_texts
            if texts[-1].lower() != word.label.lower():
                continue
            if texts[0].lower() != texts[-1].lower():
                return reading, word.label
            read_at_once = read_at_once or (reading, word.label)
    if read_at_once is None:
        raise cli.InputError(
            f"the model reads none of {args.count} rendered words: give an image, another --seed "
            "or a trained model"
        )
    return read_at_once


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    with cli.ReportInputErrors(traceback=args.traceback):
        cli.require_new_file(args.out, "--out", cli.FIGURE_SUFFIXES)
        image = load_word(args.image) if args.image else None
        reader = WordReader(
            args.checkpoint,
            args.config,
            device=args.device,
            batch_size=BATCH,
            attention=True,
            tta=False,
        )
        if image is None:
            reading, truth = rendered_word(reader, args)
        else:
            (reading,), truth = reader.read(image), args.truth
        attention = reading.attention
        if args.what == "relations":
            drawn = draw_relations(attention)
        else:
            protocol = ExactText() if args.exact else None
            draw = draw_cascade_strip
            if args.what == "attention":
                draw = partial(draw_attention, protocol=protocol)
            drawn = draw(reading.image[..., ::-1], attention, gt_text=truth)
        write_image(args.out, Image.fromarray(drawn), optimize=True)
        print(f"{args.out}: stages read {', '.join(map(repr, attention.stage_texts))}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
