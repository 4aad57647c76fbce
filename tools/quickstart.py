"""Read words with the bundled model; then train a toy LPV, and read with that.

The toy learns rendered numbers and is evaluated on images that it has not seen.

Everything uses MMOCR's own interfaces: a config, MMEngine's Runner, TextRecInferencer.
``tools/quickstart.sh`` runs this script after creating an environment for it.

Example:
    python tools/quickstart.py
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import lpv_mmocr  # before mmocr, which it patches
from lpv_mmocr.datasets import LPVLMDBDataset
from lpv_mmocr.demo.answer import EXAMPLES
from lpv_mmocr.reading.weights import find_weights
from lpv_mmocr.rendering.font_discovery import matplotlib_font_folder

import cv2
import matplotlib
import numpy as np
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmocr.apis import TextRecInferencer

ROOT = Path(__file__).resolve().parent.parent
CONFIG = ROOT / "configs" / "textrecog" / "lpv" / "lpv-toy_digits.py"
RENDERER = ROOT / "tools" / "dataset_converters" / "render_words.py"
SETS = {"train": (6000, 1), "val": (100, 2), "unseen": (400, 3)}
"""Number of words and seed of each set."""

TIME_LIMIT_MINUTES = 2.9
VALIDATE_EVERY = 100
REQUIRED_ACCURACY = 0.8
ACCURACY = "recog/accuracy"
STAMP = "training.json"
SHOWN_WORDS = 24


class ToyTrainingHook(Hook):
    """Hook that enforces the time limit and prints a short line after every validation.

    The learning rate follows the clock on machines too slow for all iterations: a model whose
    training is cut short at a high learning rate reads much worse than after a complete, shorter
    schedule. The first iteration does not count: it includes imports, which take long only the
    first time, and a faster machine should learn the same at every run.

    Args:
        max_iters: Number of iterations on a machine that is fast enough.
        time_limit: Seconds after which training ends in any case.
        peak_lr: Highest learning rate.
    """

    def __init__(self, *, max_iters: int, time_limit: float, peak_lr: float) -> None:
        self.max_iters = max_iters
        self.time_limit = time_limit
        self.peak_lr = peak_lr
        self._losses: list[float] = []
        self._first = 0.0  # seconds until the end of the first iteration

    def before_train(self, runner: Runner) -> None:
        """Start the clock."""
        self._start = time.monotonic()

    def elapsed(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self._start

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        """Set the learning rate, following the shape of the schedule in the config."""
        done = runner.iter / self.max_iters
        if runner.iter > 0:
            by_clock = (self.elapsed() - self._first) / (self.time_limit - self._first)
            done = max(done, by_clock)
        rate = min(done / 0.05, 1.0, (1.0 - done) / 0.35)
        for group in runner.optim_wrapper.param_groups:
            group["lr"] = self.peak_lr * max(rate, 0.01)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Record the loss, and stop when the time is up."""
        self._losses.append(float(outputs["loss"]))
        if runner.iter == 0:
            self._first = self.elapsed()
        if self.elapsed() >= self.time_limit:
            runner.train_loop.stop_training = True

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Print the progress of training."""
        by_pace = self.elapsed() / runner.iter * (self.max_iters - runner.iter)
        left = max(0.0, min(by_pace, self.time_limit - self.elapsed()))
        print(
            f"  iteration {runner.iter:4d}/{self.max_iters}   loss {np.mean(self._losses):5.2f}   "
            f"accuracy {metrics[ACCURACY]:4.0%}   {left:3.0f} s left",
            flush=True,
        )
        self._losses.clear()


def step(number: int, title: str) -> None:
    print(f"\n[{number}/5] {title}", flush=True)


def fail(message: str) -> None:
    print(f"\nerror: {message}", file=sys.stderr)
    raise SystemExit(1)


def print_reading(image: Path, text: str | None, confidence: float, truth: str) -> None:
    mark = "" if text == truth else f"   wrong, it is {truth}"
    print(f"  {image.name:<12} {text or '(nothing)':<9} confidence {confidence:.3f}{mark}")


def read_examples() -> None:
    """Read the images of the demo page, whose file names are their labels."""
    try:
        weights = find_weights()
    except (OSError, ValueError) as error:
        fail(str(error))
    print(f"  with {weights}", flush=True)
    for reading in lpv_mmocr.read([EXAMPLES], weights=weights, device="cpu"):
        image = Path(reading.source)
        print_reading(image, reading.text, reading.confidence, image.stem)


def render(data: Path) -> None:
    """Render missing sets; a set gets its name only when it is complete."""
    fonts = matplotlib_font_folder()
    for name, (count, seed) in SETS.items():
        out = data / name
        if (out / "data.mdb").is_file():
            print(f"  {name}: {count} words (unchanged)")
            continue
        print(f"  {name}: {count} words", flush=True)
        options = {
            "--out": out,
            "--num": count,
            "--seed": seed,
            "--charset": "digits",
            "--max-length": 4,
            "--difficulty": "easy",
            "--fonts": fonts,
        }
        command = [sys.executable, RENDERER, "--no-system-fonts", "--restart"]
        command += [part for option in options.items() for part in option]
        result = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        if result.returncode:
            fail(f"rendering {out} failed:\n{result.stderr}")


def toy_config(out: Path) -> Config:
    cfg = Config.fromfile(CONFIG)
    for part in ("train", "val", "test"):
        cfg[f"{part}_dataloader"].dataset.data_root = str(out / "data")
    cfg.work_dir = str(out / "log")
    cfg.log_level = "ERROR"
    cfg.test_dataloader.dataset.ann_file = "unseen"
    return cfg


def train(cfg: Config, checkpoint: Path, time_limit: float) -> dict[str, float]:
    """Train and save the checkpoint atomically."""
    hook = ToyTrainingHook(
        max_iters=cfg.max_iters,
        time_limit=time_limit,
        peak_lr=cfg.optim_wrapper.optimizer.lr,
    )
    cfg = Config(cfg.to_dict())
    cfg.train_cfg.val_interval = VALIDATE_EVERY
    cfg.param_scheduler = None  # the hook sets the learning rate
    cfg.default_hooks = dict(checkpoint=None, logger=None, param_scheduler=None)
    for key in ("test_cfg", "test_dataloader", "test_evaluator"):
        cfg.pop(key)
    cfg.experiment_name = "train"
    runner = Runner.from_cfg(cfg)
    runner.register_hook(hook)
    runner.train()
    runner.save_checkpoint(
        str(checkpoint.parent),
        checkpoint.name,
        save_optimizer=False,
        save_param_scheduler=False,
    )
    return dict(iterations=runner.iter, seconds=round(hook.elapsed()))


def trained_already(stamp: Path, checkpoint: Path, fingerprint: str) -> dict[str, Any] | None:
    """Return the record in the stamp if it is for the same config and data, else None."""
    if not (stamp.is_file() and checkpoint.is_file()):
        return None
    try:
        record = json.loads(stamp.read_text(encoding="utf-8"))
    except ValueError:  # partially written by an interrupted run
        return None
    return record if record["fingerprint"] == fingerprint else None


def new_numbers(data: Path) -> list[int]:
    """Return positions of the unseen images whose number is on no training image."""
    train, unseen = (
        LPVLMDBDataset(ann_file=str(data / name), test_mode=True) for name in ("train", "unseen")
    )
    known = {text_of(train, place) for place in range(len(train))}
    return [place for place in range(len(unseen)) if text_of(unseen, place) not in known]


def text_of(words: LPVLMDBDataset, place: int) -> str:
    return words.get_data_info(place)["instances"][0]["text"]


def evaluate(cfg: Config, checkpoint: Path, places: list[int] | None = None) -> float:
    """Return the word accuracy on the unseen images, or on those at the given places."""
    cfg = Config(cfg.to_dict())
    cfg.load_from = str(checkpoint)
    cfg.test_dataloader.dataset.indices = places
    cfg.default_hooks = dict(checkpoint=None, logger=None, param_scheduler=None)
    cfg.experiment_name = f"evaluate {'all' if places is None else 'some'}"
    return Runner.from_cfg(cfg).test()[ACCURACY]


def export_images(folder: Path, lmdb: Path) -> tuple[list[str], list[str]]:
    """Write the first unseen words as PNG files and return their paths and labels."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    words = LPVLMDBDataset(ann_file=str(lmdb), test_mode=True, indices=SHOWN_WORDS)
    paths, labels = [], []
    for number in range(len(words)):
        word = words[number]
        paths.append(str(folder / f"{number:02d}.png"))
        labels.append(word["instances"][0]["text"])
        cv2.imwrite(paths[-1], word["img"])
    return paths, labels


def draw_sheet(
    file: Path, title: str, paths: list[str], labels: list[str], predictions: list[dict]
) -> None:
    """Draw the images with their readings, green if right and red if wrong."""
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    columns = 6
    figure, axes = plt.subplots(-(-len(paths) // columns), columns, figsize=(12, 6.2))
    for axis in axes.flat:
        axis.axis("off")
    for axis, path, label, prediction in zip(axes.flat, paths, labels, predictions, strict=False):
        right = prediction["text"] == label
        axis.imshow(cv2.imread(path)[..., ::-1])
        read = prediction["text"] or "(nothing)"
        axis.set_title(
            f"{read}   {prediction['scores']:.3f}" + ("" if right else f"\nreally {label}"),
            color="green" if right else "red",
            fontsize=11,
        )
    figure.suptitle(title, fontsize=12)
    figure.tight_layout()
    figure.savefig(file, dpi=110)
    plt.close(figure)


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--out",
        type=Path,
        default=ROOT / "work_dirs" / "quickstart",
        help="folder for data, model and results (default: work_dirs/quickstart)",
    )
    parser.add_argument(
        "--minutes",
        type=float,
        default=TIME_LIMIT_MINUTES,
        help="time limit of training; slow or busy machines need more (default: %(default)s)",
    )
    args = parser.parse_args(argv)
    if args.minutes <= 0:
        parser.error(f"--minutes must be positive, got {args.minutes}")
    return args


def train_once(cfg: Config, checkpoint: Path, minutes: float) -> dict[str, Any]:
    """Train unless the checkpoint is of the same config and data; return the training's record."""
    stamp = checkpoint.with_name(STAMP)
    recipe = json.dumps([SETS, cfg.to_dict()], sort_keys=True, default=str)
    fingerprint = hashlib.sha256(recipe.encode()).hexdigest()
    record = trained_already(stamp, checkpoint, fingerprint)
    if record is not None:
        step(3, f"Training: done before, {checkpoint} is unchanged")
        return record
    limit = "three" if minutes == TIME_LIMIT_MINUTES else f"{minutes:g}"
    step(3, f"Training for at most {limit} minutes")
    record = {**train(cfg, checkpoint, 60 * minutes), "fingerprint": fingerprint}
    stamp.write_text(json.dumps(record), encoding="utf-8")
    return record


def measure_accuracy(cfg: Config, checkpoint: Path, data: Path, iterations: int) -> float:
    """Print and return the accuracy on the unseen images; fail if the model has not learned."""
    accuracy = evaluate(cfg, checkpoint)
    print(f"  {accuracy:.1%} of the words are read correctly")
    if places := new_numbers(data):
        of_new = evaluate(cfg, checkpoint, places)
        print(f"  {of_new:.1%} of the {len(places)} whose number is on no training image")
    if accuracy < REQUIRED_ACCURACY:
        folder = checkpoint.parent
        fail(
            f"the model reads {accuracy:.1%} of the unseen images correctly, but "
            f"{REQUIRED_ACCURACY:.0%} were expected after {iterations} of "
            f"{cfg.max_iters} iterations. On a slow or busy machine give it more time: delete "
            f"{folder / STAMP}, and run {sys.executable} {Path(__file__)} --out {folder} "
            "--minutes 10"
        )
    return accuracy


def show_readings(checkpoint: Path, data: Path, sheet: Path, title: str) -> None:
    """Read unseen images with MMOCR's inferencer, print some readings, and draw all of them."""
    paths, labels = export_images(sheet.with_name("images"), data / "unseen")
    reader = TextRecInferencer(str(CONFIG), str(checkpoint))
    predictions = reader(paths, batch_size=8, progress_bar=False)["predictions"]
    for path, label, prediction in list(zip(paths, labels, predictions, strict=True))[:8]:
        print_reading(Path(path), prediction["text"], prediction["scores"], label)
    draw_sheet(sheet, title, paths, labels, predictions)
    print(f"\nDone. {sheet} shows {len(paths)} of the unseen images with their readings.")


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    warnings.filterwarnings("ignore")
    # The layers are small: a second thread saves a fifth of the time on an idle machine, but adds
    # half on a busy one.
    torch.set_num_threads(1)
    out = args.out.absolute()
    data, checkpoint = out / "data", out / "lpv-toy_digits.pth"
    unseen = SETS["unseen"][0]
    print(f"LPV for MMOCR {lpv_mmocr.__version__}")

    step(1, "Reading words with the bundled model")
    read_examples()

    step(2, f"Rendering images of numbers into {data}")
    render(data)

    cfg = toy_config(out)
    record = train_once(cfg, checkpoint, args.minutes)

    step(4, f"Evaluating on {unseen} images that it has not seen")
    accuracy = measure_accuracy(cfg, checkpoint, data, record["iterations"])

    step(5, "Reading those images with mmocr.apis.TextRecInferencer")
    title = (
        f"Toy LPV, trained here for {record['seconds']} s on rendered numbers: "
        f"{accuracy:.1%} of {unseen} unseen images read correctly"
    )
    show_readings(checkpoint, data, out / "result.png", title)
    print(
        "What this shows: installation, data, training, evaluation and inference work here.\n"
        "What it does not show: how well LPV reads. The toy was trained for minutes on rendered\n"
        "numbers of 1 to 4 digits, and it reads nothing else. Words are read by the model of step\n"
        f"1: {Path(sys.executable).with_name('lpv-mmocr')} read YOUR_IMAGES"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
