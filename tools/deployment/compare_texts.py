r"""Count the words for which deployed and exported models give the same text as the model itself.

The model is run by MMOCR's TextRecInferencer: as it is, deployed in float32, and deployed in
bfloat16. ONNX files are run by lpv_onnx.Reader, which decodes and resizes the images itself. With
the mask on, words for which an attention weight is within 1e-5 of the mask's threshold are counted
separately: for them, rounding decides what is masked, and two correct readers may differ.

Example:
    python tools/deployment/compare_texts.py lpv-tiny --data data/real/IIIT5K_train \
        --onnx lpv-tiny.onnx lpv-tiny_int8.onnx
    python tools/deployment/compare_texts.py lpv-tiny --data data/real/IIIT5K_train --mask on \
        --onnx lpv-tiny_mask.onnx --engine onnxruntime openvino
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from lpv_mmocr import cli
from lpv_mmocr.atomic_files import write_file
from lpv_mmocr.datasets import LPVLMDBDataset
from lpv_mmocr.datasets.transforms.loading import decode_image
from lpv_mmocr.deploy.onnx_check import reference
from lpv_mmocr.deploy.onnx_metadata import Preprocessing
from lpv_mmocr.evaluation.text_protocol import TextProtocol
from lpv_mmocr.markdown_table import markdown_table
from lpv_mmocr.models import LPV
from lpv_mmocr.reading.inferencer import build_inferencer
from lpv_mmocr.reading.weights import find_weights

import numpy as np
import torch
from mmengine.logging import MMLogger
from mmocr.apis import TextRecInferencer
from rich.console import Console
from rich.progress import track

import lpv_onnx
from lpv_mmocr_cli import new_parser

BATCH = 32
PLAIN = "PyTorch"
DEPLOYED = {"PyTorch, deployed": torch.float32, "PyTorch, deployed, bf16": torch.bfloat16}


class Agreement(NamedTuple):
    """Agreement of one reader's texts with those of the plain model.

    Attributes:
        reader: Name of the reader.
        same: Number of words read alike, among those clear of the mask's threshold.
        same_at_threshold: Number of words read alike, among those at the threshold.
        correct: Number of words read as labelled (case-insensitive, 0-9 and a-z only).
    """

    reader: str
    same: int
    same_at_threshold: int
    correct: int


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    add = parser.add_argument
    add(
        "checkpoint",
        metavar="CHECKPOINT",
        help="checkpoint of an LPV, or the name of a bundled one, such as lpv-mini",
    )
    add("--config", help="config of the model (default: the one in the checkpoint)")
    add("--data", required=True, metavar="LMDB", help="LMDB of the words to read")
    add("--num", type=int, metavar="N", help="read only the first N words (default: all)")
    add(
        "--mask",
        choices=("on", "off"),
        help="mask of the GLRMs (default: as configured in the model)",
    )
    add("--onnx", nargs="+", default=[], metavar="FILE.onnx", help="ONNX files to compare")
    add(
        "--engine",
        nargs="+",
        choices=lpv_onnx.ENGINES,
        default=["onnxruntime"],
        help="engines for the ONNX files (default: onnxruntime)",
    )
    add("--out", type=Path, metavar="FILE.json", help="also write counts and texts to this file")
    return parser.parse_args(argv)


def load_words(folder: str, number: int | None) -> tuple[list[bytes], list[str]]:
    """Return encoded images and labels of an LMDB, without images that cannot be decoded.

    Those are reported on standard error.

    Raises:
        InputError: If no word is left.
    """
    words = LPVLMDBDataset(ann_file=folder, test_mode=True)
    encoded, labels = [], []
    for index in range(len(words))[:number]:
        info = words.get_data_info(index)
        try:
            decode_upright(info["img_bytes"])
        except ValueError as error:
            print(f"{info['sample_key']} is left out: {error}", file=sys.stderr)
            continue
        encoded.append(info["img_bytes"])
        labels.append(info["instances"][0]["text"])
    if not encoded:
        raise cli.InputError(f"{folder} has no image that can be decoded")
    return encoded, labels


def decode_upright(content: bytes) -> np.ndarray:
    """Decode an image in BGR order and apply its EXIF orientation, as lpv_onnx does."""
    return decode_image(content, follow_exif=True)


def read_torch(inferencer: TextRecInferencer, encoded: Sequence[bytes]) -> list[str]:
    texts = []
    for batch in batches(encoded):
        images = [decode_upright(content) for content in batch]
        read = inferencer(images, batch_size=len(images), progress_bar=False)
        texts += [prediction["text"] for prediction in read["predictions"]]
    return texts


def open_onnx(file: str, engine: str, model: LPV) -> lpv_onnx.Reader:
    """Open an exported model.

    Raises:
        InputError: If it is not of the model, or reads with another mask.
    """
    reader = lpv_onnx.Reader(file, engine=engine, threads=torch.get_num_threads(), tta=False)
    inside = reader.metadata
    parameters = sum(parameter.numel() for parameter in model.parameters())
    classes = list(model.decoder.postprocessor.dictionary.dict)
    if inside["parameters"] != parameters:
        raise cli.InputError(
            f"{file} was exported from another model: it has {inside['parameters']:,} parameters, "
            f"the checkpoint {parameters:,}"
        )
    if inside["classes"] != classes:
        raise cli.InputError(f"{file} was exported from a model with another dictionary")
    mask = model.decoder.with_mask
    if inside["mask"] != mask:
        raise cli.InputError(
            f"{file} reads with the mask {'off' if mask else 'on'}, the model with it "
            f"{'on' if mask else 'off'}: export it again, or give --mask"
        )
    return reader


def read_onnx(reader: lpv_onnx.Reader, encoded: Sequence[bytes]) -> list[str]:
    texts = []
    for batch in batches(encoded):
        texts += [reading.text for reading in reader(batch)]
    return texts


def find_clear(inferencer: TextRecInferencer, encoded: Sequence[bytes]) -> list[bool]:
    """Return for each word whether its mask is the same in every correct reader."""
    model = inferencer.model
    if not model.decoder.with_mask:
        return [True] * len(encoded)
    preprocessing = Preprocessing.of(inferencer.cfg)
    clear: list[bool] = []
    for batch in batches(encoded):
        images = [inferencer.pipeline(decode_upright(content))["inputs"] for content in batch]
        if preprocessing.channels == "rgb":
            images = [image.flip(0) for image in images]
        clear += reference(model, preprocessing.normalise(images), mask=True)[1].tolist()
    return clear


def batches(encoded: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Yield batches, with a progress bar on standard error."""
    starts = range(0, len(encoded), BATCH)
    for start in track(starts, "", console=Console(stderr=True), transient=True):
        yield list(encoded[start : start + BATCH])


def compare(args: argparse.Namespace) -> None:
    if args.num is not None and args.num < 1:
        raise cli.InputError(f"--num must be at least 1, got {args.num}")
    for file in args.onnx:
        cli.require_file(file, "ONNX file")
    if args.out:
        cli.require_new_file(args.out, "--out")
    encoded, labels = load_words(args.data, args.num)
    inferencer = build_inferencer(find_weights(args.checkpoint), args.config, "cpu")
    model = inferencer.model
    if args.mask == "on" and not model.decoder.glrms:
        raise cli.InputError("--mask on: the mask belongs to the GLRMs, and this model has none")
    if args.mask is not None:
        model.decoder.with_mask = args.mask == "on"
    mask = model.decoder.with_mask
    # Opened before anything is read: a wrong file must not cost the time of the others.
    exported = {
        f"{file}, {engine}": open_onnx(file, engine, model)
        for file in args.onnx
        for engine in args.engine
    }
    clear = find_clear(inferencer, encoded)

    def read_deployed(dtype: torch.dtype) -> list[str]:
        inferencer.model = model.to_deploy(dtype=dtype)
        return read_torch(inferencer, encoded)

    readers: dict[str, Callable[[], list[str]]] = {PLAIN: lambda: read_torch(inferencer, encoded)}
    for name, dtype in DEPLOYED.items():
        readers[name] = lambda dtype=dtype: read_deployed(dtype)
    for name, reader in exported.items():
        readers[name] = lambda reader=reader: read_onnx(reader, encoded)
    texts = {}
    for name, read in readers.items():
        print(f"reading with {name}", file=sys.stderr)
        texts[name] = read()
    protocol = protocol_for(model)
    rows = [count(texts[name], texts[PLAIN], labels, clear, name, protocol) for name in readers]
    print(table(rows, clear, args, mask))
    if args.out:
        content = dict(
            checkpoint=args.checkpoint,
            data=args.data,
            mask=mask,
            rows=[row._asdict() for row in rows],
            clear=clear,
            labels=labels,
            texts=texts,
        )
        write_file(args.out, json.dumps(content, ensure_ascii=False))


def protocol_for(model: LPV) -> TextProtocol:
    """Return the protocol of a model's characters: case counts if it has upper-case letters."""
    characters = (text for text in model.decoder.postprocessor.dictionary.dict if len(text) == 1)
    return TextProtocol(case_sensitive=any(map(str.isupper, characters)))


def count(
    texts: Sequence[str],
    plain: Sequence[str],
    labels: Sequence[str],
    clear: Sequence[bool],
    name: str,
    protocol: TextProtocol,
) -> Agreement:
    same = [ours == theirs for ours, theirs in zip(texts, plain, strict=True)]
    reduce = protocol.reduce
    correct = [reduce(text) == reduce(label) for text, label in zip(texts, labels, strict=True)]
    at_threshold = sum(ours and not is_clear for ours, is_clear in zip(same, clear, strict=True))
    return Agreement(name, sum(same) - at_threshold, at_threshold, sum(correct))


def table(
    rows: Sequence[Agreement], clear: Sequence[bool], args: argparse.Namespace, mask: bool
) -> str:
    """Return the counts as a Markdown table."""
    number, at_threshold = len(clear), len(clear) - sum(clear)
    data, checkpoint = Path(args.data).name, Path(args.checkpoint).name
    title = f"{number} words of {data}, {checkpoint}, mask {'on' if mask else 'off'}"
    header = ("reader", "same text as PyTorch", "at the mask's threshold, the same", "accuracy")
    cells = [
        (
            row.reader,
            f"{row.same} of {number - at_threshold}",
            f"{row.same_at_threshold} of {at_threshold}",
            f"{row.correct / number:.2%}",
        )
        for row in rows
    ]
    return "\n".join([title, "", *markdown_table(header, cells, left={"reader"})])


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    MMLogger.get_current_instance().setLevel("WARNING")
    with cli.ReportInputErrors(traceback=args.traceback):
        compare(args)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
