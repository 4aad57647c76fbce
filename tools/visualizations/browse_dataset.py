"""Draw a contact sheet of the words of a config's data, as the model sees them.

Example:
    python tools/visualizations/browse_dataset.py configs/textrecog/lpv/lpv-tiny_own_data.py
    python tools/visualizations/browse_dataset.py CONFIG --phase val --original --count 50

Training words are shown in the order of training, and several datasets in their training
proportions; validation and test words are chosen at random.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import chain, islice

from lpv_mmocr import cli
from lpv_mmocr.rendering.contact_sheet import save_sheet

import numpy as np
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner, set_random_seed
from mmocr.registry import DATASETS
from mmocr.structures import TextRecogDataSample
from torch.utils.data import Dataset

from lpv_mmocr_cli import add_config_options, new_parser

PLAIN_PIPELINE = [
    dict(type="LoadImageFromNDArray"),
    dict(type="LoadOCRAnnotations", with_text=True),
    dict(type="PackWordInputs"),
]


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    add_config_options(parser)
    parser.add_argument(
        "--phase",
        choices=("train", "val", "test"),
        default="train",
        help="data loader whose words are shown (default: train)",
    )
    parser.add_argument(
        "--original",
        action="store_true",
        help="show the stored images, without resizing and augmentation",
    )
    parser.add_argument("--count", type=int, default=100, help="number of words (default: 100)")
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the words and their augmentation (default: 0)"
    )
    parser.add_argument(
        "--out", default="words.png", metavar="FILE.png", help="file to write (default: words.png)"
    )
    return parser.parse_args(argv)


def build_dataset(cfg: Config, phase: str, original: bool) -> Dataset:
    """Build the dataset of a phase, with its own pipeline or with one that only loads.

    Raises:
        InputError: If the config has no data for that phase, or renders it during training.
    """
    cli.require(cfg, f"{phase}_dataloader")
    dataset = cfg[f"{phase}_dataloader"].dataset
    if dataset.get("type") == "StreamedWordDataset":
        raise cli.InputError(
            f"{phase}_dataloader has a StreamedWordDataset, which yields batches of words that are "
            "rendered during training; use --sheet of tools/dataset_converters/render_words.py"
        )
    if original:
        # A ConcatDataset may have one pipeline for all its parts, or each part its own.
        parts = [part for part in [dataset, *dataset.get("datasets", [])] if "pipeline" in part]
        for part in parts or [dataset]:
            part.pipeline = PLAIN_PIPELINE
    init_default_scope(cfg.get("default_scope", "mmocr"))
    return DATASETS.build(dataset)


def choose(cfg: Config, phase: str, dataset: Dataset, count: int, seed: int) -> Iterator[int]:
    """Yield indices of words of a dataset: the first ones of training, or random ones."""
    if phase != "train":
        yield from map(int, np.random.default_rng(seed).permutation(len(dataset))[:count])
        return
    loader = {**cfg.train_dataloader, "dataset": dataset, "num_workers": 0}
    for of_workers in ("persistent_workers", "prefetch_factor"):
        loader.pop(of_workers, None)
    batches = Runner.build_dataloader(loader, seed=seed).batch_sampler
    yield from islice(chain.from_iterable(batches), count)


def as_entry(packed: dict) -> tuple[np.ndarray, str, None]:
    """Return image (H, W, 3) in RGB and label of a packed sample."""
    sample: TextRecogDataSample = packed["data_samples"]
    image = packed["inputs"].numpy().transpose(1, 2, 0)[..., ::-1]
    return np.ascontiguousarray(image), sample.gt_text.item or "(empty)", None


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    with cli.ReportInputErrors(traceback=args.traceback):
        if args.count < 1:
            raise cli.InputError(f"--count must be at least 1, got {args.count}")
        cli.require_new_file(args.out, "--out", cli.FIGURE_SUFFIXES)
        cfg = cli.load_config(args.config, args.cfg_options)
        dataset = build_dataset(cfg, args.phase, args.original)
        set_random_seed(args.seed)
        count = min(args.count, len(dataset))
        chosen = choose(cfg, args.phase, dataset, count, args.seed)
        save_sheet((as_entry(dataset[index]) for index in chosen), count, args.out)
        print(f"{args.out}: {count} of {len(dataset)} words of {args.phase}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
