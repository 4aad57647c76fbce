"""Draw a contact sheet of every augmentation operation at every magnitude.

One row per operation, one column per word image and magnitude; the first row shows the original
images, resized. If no images are given, words are rendered with the fonts bundled with matplotlib.
With --batch, one row per group of ``BatchTextAugment`` and several of all groups together, with
four random samples of each image.

Example:
    python tools/visualizations/browse_augment.py --out augment.png
    python tools/visualizations/browse_augment.py word1.png word2.jpg --groups blur weather
    python tools/visualizations/browse_augment.py --batch --out batch_augment.png
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from random import Random

from lpv_mmocr import cli
from lpv_mmocr.atomic_files import write_image
from lpv_mmocr.datasets.transforms.text_augment import (
    GROUPS,
    NUM_MAGNITUDES,
    operations_by_group,
)
from lpv_mmocr.rendering.font_discovery import matplotlib_font_folder
from lpv_mmocr.streaming.batch_augment import PROBABILITIES, BatchTextAugment

import cv2
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from lpv_mmocr_cli import new_parser

BATCH_COPIES = 4
LABEL_WIDTH = 130
GAP = 4
WORDS = (
    # text, ink, paper (RGB), font of matplotlib
    ("Harbour", (20, 40, 110), (228, 214, 180), "DejaVuSans-Bold.ttf"),
    ("LIBRARY", (250, 240, 210), (120, 40, 35), "DejaVuSerif.ttf"),
)


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument(
        "images", nargs="*", type=Path, help="word images (default: rendered words)"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("augment.png"), help="file to write (default: augment.png)"
    )
    parser.add_argument(
        "--size",
        nargs=2,
        type=int,
        default=(100, 32),
        metavar=("W", "H"),
        help="size of the augmented images in pixels (default: 100 32)",
    )
    parser.add_argument(
        "--groups", nargs="+", choices=GROUPS, default=GROUPS, help="groups to show (default: all)"
    )
    parser.add_argument(
        "--batch", action="store_true", help="show BatchTextAugment instead of TextAugment"
    )
    parser.add_argument(
        "--scale", type=int, default=2, help="magnification of every image (default: 2)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the operations (default: 0)")
    args = parser.parse_args(argv)
    if min(*args.size, args.scale) < 1:
        parser.error("--size and --scale must be positive")
    if args.batch and args.groups is not GROUPS:
        parser.error("--groups are those of TextAugment; --batch always shows all of its own")
    return args


def render_word(
    text: str, ink: tuple[int, ...], paper: tuple[int, ...], font_name: str
) -> np.ndarray:
    """Render a word on its paper with a margin, uint8 (H, W, 3), BGR."""
    font = ImageFont.truetype(str(matplotlib_font_folder() / font_name), 44)
    left, top, right, bottom = font.getbbox(text)
    image = Image.new("RGB", (right - left + 20, bottom - top + 16), paper)
    ImageDraw.Draw(image).text((10 - left, 8 - top), text, font=font, fill=ink)
    return np.ascontiguousarray(np.asarray(image)[..., ::-1])


def load_images(paths: Sequence[Path], size: tuple[int, int]) -> list[np.ndarray]:
    """Read the images, or render words if there are none, and resize them to (W, H).

    Raises:
        InputError: If a file is not an image.
    """
    images = [] if paths else [render_word(*word) for word in WORDS]
    for path in paths:
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if image is None:
            raise cli.InputError(f"{path}: not an image that OpenCV can read, or no such file")
        images.append(image)
    return [cv2.resize(image, tuple(size), interpolation=cv2.INTER_AREA) for image in images]


def draw_row(label: str, cells: Sequence[np.ndarray], scale: int) -> np.ndarray:
    """Lay out the label and the enlarged cells from left to right on white."""
    height, width = cells[0].shape[:2]
    row = np.full((height * scale + GAP, LABEL_WIDTH, 3), 255, np.uint8)
    baseline = height * scale // 2 + 5
    cv2.putText(
        row, label, (4, baseline), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA
    )
    gap = np.full((height * scale + GAP, GAP, 3), 255, np.uint8)
    parts = [row]
    for cell in cells:
        large = cv2.resize(cell, (width * scale, height * scale), interpolation=cv2.INTER_NEAREST)
        parts += [
            cv2.copyMakeBorder(large, 0, GAP, 0, 0, cv2.BORDER_CONSTANT, value=(255,) * 3),
            gap,
        ]
    return np.hstack(parts)


def draw_sheet(
    images: Sequence[np.ndarray], groups: Sequence[str], scale: int, seed: int
) -> np.ndarray:
    """Apply every operation of the groups at every magnitude to every image."""
    originals = [image for image in images for _ in range(NUM_MAGNITUDES)]
    rows = [draw_row("original", originals, scale)]
    available = operations_by_group()
    for group in groups:
        for operation in available[group]:
            cells = [
                operation(image, magnitude, Random(f"{seed}/{operation.name}/{magnitude}/{index}"))
                for index, image in enumerate(images)
                for magnitude in range(NUM_MAGNITUDES)
            ]
            rows.append(draw_row(operation.name, cells, scale))
    return np.vstack(rows)


def draw_batch_sheet(images: Sequence[np.ndarray], scale: int, seed: int) -> np.ndarray:
    """Augment copies of every image by each group alone, and by all at their probabilities."""
    copies = [image for image in images for _ in range(BATCH_COPIES)]
    rows = [draw_row("original", copies, scale)]
    inputs = torch.from_numpy(np.stack(copies)[..., ::-1].transpose(0, 3, 1, 2) / np.float32(255))
    generator = torch.Generator().manual_seed(seed)
    kinds = [(group, {group: 1.0}) for group in PROBABILITIES]
    for label, groups in kinds + [("all", None)] * BATCH_COPIES:
        augment = BatchTextAugment(intact_prob=0, groups=groups)
        augmented, _ = augment(inputs.clone(), generator=generator)
        cells = (augmented * 255).round().byte().permute(0, 2, 3, 1).numpy()[..., ::-1]
        rows.append(draw_row(label, cells, scale))
    return np.vstack(rows)


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    with cli.ReportInputErrors(traceback=args.traceback):
        cli.require_new_file(args.out, "--out", cli.FIGURE_SUFFIXES)
        images = load_images(args.images, args.size)
        if args.batch:
            sheet = draw_batch_sheet(images, args.scale, args.seed)
        else:
            sheet = draw_sheet(images, args.groups, args.scale, args.seed)
        write_image(args.out, Image.fromarray(sheet[..., ::-1]))
        print(f"{args.out}: {sheet.shape[1]}x{len(sheet)} pixels, {len(images)} image(s)")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
