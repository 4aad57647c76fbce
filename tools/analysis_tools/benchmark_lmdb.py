"""Compare opening, memory and reading speed of LPVLMDBDataset with MMOCR's own LMDB dataset.

Generates a word LMDB (by default a million words, about 500 MB; deleted afterwards), opens it with
``LPVLMDBDataset`` and ``RecogLMDBDataset`` in separate processes, and reads from both in turn in
one process.

Example:
    python tools/analysis_tools/benchmark_lmdb.py --num 1000000 --rounds 7
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import lpv_mmocr  # noqa: F401  (before mmocr, which it patches)
from lpv_mmocr.datasets import LMDBWriter, LPVLMDBDataset
from lpv_mmocr.datasets.label_filter import ALPHANUMERIC

import cv2
import numpy as np
from rich.progress import track

from mmocr.datasets import RecogLMDBDataset  # isort: skip

DATASETS = {"LPVLMDBDataset": LPVLMDBDataset, "RecogLMDBDataset": RecogLMDBDataset}


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--num", type=int, default=1_000_000, help="words in the generated LMDB (default: 1000000)"
    )
    parser.add_argument(
        "--reads", type=int, default=20_000, help="random reads per round (default: 20000)"
    )
    parser.add_argument(
        "--rounds", type=int, default=5, help="number of rounds; medians are reported (default: 5)"
    )
    parser.add_argument("--folder", help="folder to generate it in (default: a temporary one)")
    parser.add_argument("--measure-opening", choices=DATASETS, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if min(args.num, args.reads, args.rounds) < 1:
        parser.error("--num, --reads and --rounds must be at least 1")
    if args.folder:
        try:
            os.makedirs(args.folder, exist_ok=True)
        except OSError as error:
            parser.error(f"--folder {args.folder} cannot be created: {error}")
    return args


def generate(path: Path, num: int) -> None:
    """Write ``num`` words of 1 to 30 characters with small JPEG images."""
    generator = np.random.default_rng(0)
    images = []
    for _ in range(64):
        image = generator.integers(0, 255, (2, 6), dtype=np.uint8)
        image = cv2.resize(image, (24, 8), interpolation=cv2.INTER_LINEAR)
        images.append(cv2.imencode(".jpg", image)[1].tobytes())
    characters = np.array(list(ALPHANUMERIC))
    lengths = np.minimum(generator.geometric(0.15, num), 30)
    with LMDBWriter(path) as writer:
        for number in track(range(num), "Generating words"):
            word = "".join(generator.choice(characters, lengths[number]))
            writer.write(images[number % len(images)], word)


def memory() -> dict[str, float]:
    """Return this process's resident memory, and the part not backed by files, in MB."""
    rollup = dict(
        line.split(":") for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]
    )
    return {
        name: int(rollup[field].split()[0]) / 1024
        for name, field in (("resident", "Rss"), ("anonymous", "Anonymous"))
    }


def measure_opening(name: str, path: str) -> None:
    """Open a dataset in this process and print time and memory growth as JSON."""
    before, began = memory(), time.perf_counter()
    dataset = DATASETS[name](ann_file=path)
    dataset.get_data_info(0)
    seconds, after = time.perf_counter() - began, memory()
    growth = {key: after[key] - before[key] for key in after}
    print(json.dumps({"words": len(dataset), "seconds": seconds, **growth}))


def opening_in_new_process(name: str, path: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--measure-opening", name, "--folder", str(path)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(output.splitlines()[-1])


def reads_per_second(read: Callable[[int], object], positions: np.ndarray) -> float:
    # Processor time, so that other programs on the machine do not count: the speed is per core.
    began = time.process_time()
    for position in positions.tolist():
        read(position)
    return len(positions) / (time.process_time() - began)


def benchmark(folder: Path, num: int, reads: int, rounds: int) -> None:
    path = folder / "words"
    generate(path, num)
    began = time.perf_counter()
    dataset = LPVLMDBDataset(ann_file=str(path))
    print(f"LPVLMDBDataset, first opening (builds the index): {time.perf_counter() - began:.2f} s")

    print("Opening in a new process (index cached), and growth of memory:")
    for name in DATASETS:
        runs = [opening_in_new_process(name, path) for _ in range(min(rounds, 3))]
        median = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        print(
            f"  {name:16s} {median['seconds']:7.3f} s  {median['resident']:7.1f} MB resident"
            f"  {median['anonymous']:7.1f} MB not backed by a file  ({median['words']:,.0f} words)"
        )

    # py-lmdb opens a file only once per process, so the other dataset reads a copy.
    other = RecogLMDBDataset(ann_file=str(shutil.copytree(path, folder / "copy")))
    readers = {
        "LPVLMDBDataset, without decoding": dataset.get_data_info,
        "LPVLMDBDataset, decoding": dataset.prepare_data,
        "RecogLMDBDataset, decoding": other.prepare_data,
    }
    generator = np.random.default_rng(1)
    speeds: dict[str, list[float]] = {name: [] for name in readers}
    for _ in track(range(rounds), "Reading"):
        positions = generator.integers(0, len(dataset), reads)
        for name, read in readers.items():
            speeds[name].append(reads_per_second(read, positions))
    print(f"Random reads in turns, {rounds} rounds of {reads:,}, per second of processor time:")
    for name, values in speeds.items():
        print(f"  {name:33s} {statistics.median(values):9,.0f} samples (median)")
    ours, theirs = (np.array(speeds[f"{name}, decoding"]) for name in DATASETS)
    print(f"  ratio with decoding, ours to MMOCR's: {np.median(ours / theirs):.2f}")


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    # No ReportInputErrors here: it limits garbage collection, which is part of opening a dataset.
    cv2.setNumThreads(1)
    if args.measure_opening:
        measure_opening(args.measure_opening, args.folder)
        return
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        benchmark(Path(folder), args.num, args.reads, args.rounds)


if __name__ == "__main__":
    main()
