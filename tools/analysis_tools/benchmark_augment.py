"""Compare augmentation speed on one core with the published ``straug`` package.

Both augment the same image in the same way: three different groups, one operation of each, random
magnitudes. They take turns in short rounds, so that other load on the machine slows both. Medians
over all rounds of all seeds are reported in images per second of processor time (the speed of a
core that this process has to itself) and per second of wall-clock time.

``straug`` serves as a comparison only; if it is not installed, only this package is measured. It
needs a separate environment: straug 0.1.2 runs with NumPy 1, scikit-image 0.20,
opencv-contrib-python below 4.12, setuptools below 70 and ImageMagick (Debian: libmagickwand-dev).
Its operations that fail there are reported and left out.

Example:
    python tools/analysis_tools/benchmark_augment.py
    python tools/analysis_tools/benchmark_augment.py --size 160 48 --operations
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from random import Random

from lpv_mmocr.datasets.transforms.text_augment import (
    NUM_MAGNITUDES,
    OPERATIONS,
    TextAugment,
)

import cv2
import numpy as np

NUM_GROUPS = 3
STRAUG_GROUPS = {
    "warp": ("Curve", "Distort", "Stretch"),
    "geometry": ("Rotate", "Perspective", "Shrink"),
    "pattern": ("VGrid", "HGrid", "Grid", "RectGrid", "EllipseGrid"),
    "noise": ("GaussianNoise", "ShotNoise", "ImpulseNoise", "SpeckleNoise"),
    "blur": ("GaussianBlur", "DefocusBlur", "MotionBlur", "GlassBlur", "ZoomBlur"),
    "weather": ("Fog", "Snow", "Frost", "Rain", "Shadow"),
    "camera": ("Contrast", "Brightness", "JpegCompression", "Pixelate"),
    "process": (
        "Posterize",
        "Solarize",
        "Invert",
        "Equalize",
        "AutoContrast",
        "Sharpness",
        "Color",
    ),
}

Augment = Callable[[], object]


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--size",
        nargs=2,
        type=int,
        default=(100, 32),
        metavar=("W", "H"),
        help="size of the image in pixels (default: 100 32)",
    )
    parser.add_argument(
        "--seeds",
        nargs="+",
        type=int,
        default=[0, 1, 2, 3, 4],
        help="seeds of the operations and magnitudes (default: 0 1 2 3 4)",
    )
    parser.add_argument("--rounds", type=int, default=20, help="rounds per seed (default: 20)")
    parser.add_argument(
        "--images",
        type=int,
        default=200,
        help="images per round; a tenth with straug (default: 200)",
    )
    parser.add_argument(
        "--operations", action="store_true", help="also report the time of each of our operations"
    )
    args = parser.parse_args(argv)
    if min(*args.size, args.rounds, args.images) < 1:
        parser.error("--size, --rounds and --images must be positive")
    if not 0 <= min(args.seeds) <= max(args.seeds) < 2**32:
        parser.error("--seeds must be from 0 to 4294967295")
    return args


def make_image(width: int, height: int) -> np.ndarray:
    """Draw a word on a gradient, uint8 (H, W, 3), BGR."""
    ramp = np.linspace(90, 230, width)[None, :, None] * np.array([1.0, 0.95, 0.8])
    image = np.repeat(ramp, height, axis=0).astype(np.uint8)
    scale = height / 40
    origin = (width // 20, height * 3 // 4)
    cv2.putText(image, "Harbour", origin, cv2.FONT_HERSHEY_DUPLEX, scale, (60, 20, 10), 1)
    return image


def load_straug(image: np.ndarray) -> list[list] | None:
    """Return the operations of ``straug``, group by group, or None if it cannot be used.

    Operations that fail with the installed libraries are reported and left out.
    """
    from PIL import Image

    image = Image.fromarray(image)
    groups = []
    try:
        for group, names in STRAUG_GROUPS.items():
            module = importlib.import_module(f"straug.{group}")
            groups.append([getattr(module, name)() for name in names])
    except (ImportError, AttributeError) as error:
        print(f"straug is left out: it is not installed or does not run here ({error})")
        return None
    for group in groups:
        for operation in list(group):
            try:
                operation(image.copy(), mag=0, prob=1.0)
            except Exception as error:
                print(f"straug's {type(operation).__name__} is left out, it fails: {error}")
                group.remove(operation)
    return groups


def straug_augment(groups: list[list], image: np.ndarray, rng: Random) -> Augment:
    """Return a function that augments the image with ``straug`` once."""
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(image[..., ::-1]))

    def augment() -> object:
        result = image
        for group in rng.sample(groups, NUM_GROUPS):
            operation = rng.choice(group)
            result = operation(result.copy(), mag=rng.randrange(NUM_MAGNITUDES), prob=1.0)
        return result

    return augment


def images_per_second(augment: Augment, images: int) -> tuple[float, float]:
    """Return the speed in images per second of processor and of wall-clock time."""
    began, began_here = time.perf_counter(), time.process_time()
    for _ in range(images):
        augment()
    return images / (time.process_time() - began_here), images / (time.perf_counter() - began)


def compare(args: argparse.Namespace, image: np.ndarray) -> None:
    """Measure in turns and print the medians for each seed and for all seeds."""
    transform = TextAugment(num_groups=NUM_GROUPS, intact_prob=0.0)
    straug = load_straug(image)
    speeds: dict[str, list[tuple[float, float]]] = {"TextAugment": []}
    if straug is not None:
        speeds["straug"] = []
    for seed in args.seeds:
        np.random.seed(seed)  # noqa: NPY002  (what the transform draws from)
        contestants: dict[str, tuple[Augment, int]] = {
            "TextAugment": (lambda: transform({"img": image}), args.images)
        }
        if straug is not None:
            # A tenth of the images: takes about as long as ours.
            augment = straug_augment(straug, image, Random(seed))
            contestants["straug"] = (augment, max(args.images // 10, 1))
        for _ in range(args.rounds):
            for name, (augment, images) in contestants.items():
                speeds[name].append(images_per_second(augment, images))
        for name, found in speeds.items():
            report(f"seed {seed}", name, found[-args.rounds :])
    for name, found in speeds.items():
        report("all seeds", name, found)


def report(what: str, name: str, found: Sequence[tuple[float, float]]) -> None:
    processor, clock = np.median(found, axis=0)
    low, high = np.percentile(found, [25, 75], axis=0)[:, 0]
    print(
        f"{what}: {name:11s} {processor:6.0f} images/s per core (quartiles {low:.0f} to "
        f"{high:.0f}), {clock:6.0f} images/s on the clock"
    )


def measure_operations(image: np.ndarray, args: argparse.Namespace) -> None:
    """Print the median time of every operation at each magnitude in microseconds."""
    print(f"{'operation':18s}" + "".join(f"{f'magnitude {m}':>14s}" for m in range(NUM_MAGNITUDES)))
    for operation in OPERATIONS.values():
        times = []
        for magnitude in range(NUM_MAGNITUDES):
            rng = Random(magnitude)

            def augment(operation=operation, magnitude=magnitude, rng=rng) -> np.ndarray:
                return operation(image, magnitude, rng)

            augment()
            speed = statistics.median(images_per_second(augment, 50)[0] for _ in range(args.rounds))
            times.append(1e6 / speed)
        print(f"{operation.name:18s}" + "".join(f"{t:11.0f} µs" for t in times))


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    # One core, as in a worker of MMEngine's data loader.
    cv2.setNumThreads(0)
    warnings.simplefilter("ignore")
    image = make_image(*args.size)
    print(
        f"{args.size[0]}x{args.size[1]} pixels, {NUM_GROUPS} groups, Python "
        f"{sys.version.split()[0]}, NumPy {np.__version__}, OpenCV {cv2.__version__}"
    )
    compare(args, image)
    if args.operations:
        measure_operations(image, args)


if __name__ == "__main__":
    main()
