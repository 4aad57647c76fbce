"""Read pictures of words with an LPV in an ONNX file.

It needs NumPy, Pillow and onnxruntime, and nothing else: neither PyTorch nor MMOCR nor the rest of
this project. The file says itself how pictures are prepared and what its classes mean;
tools/deployment/export_onnx.py writes it. This module may be copied on its own.

Example:
    python -m lpv_onnx lpv.onnx word.jpg more/*.png
    python -m lpv_onnx lpv.onnx word.jpg --json --engine openvino

In Python:
    from lpv_onnx import Reader
    reader = Reader("lpv.onnx")
    for reading in reader(["a.jpg", "b.jpg"]):
        print(reading.text, reading.confidence, reading.scores)

Exit status: 0 if all pictures were read, 1 if some could not be, 2 for bad input.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import math
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

METADATA_KEY = "lpv"
FORMAT = 1
REQUIRED = ("classes", "start", "end", "preprocessing")
REQUIRED_OF_PREPROCESSING = (
    *("height", "width", "interpolation", "keep_ratio"),
    *("channels", "mean", "std"),
)
MAX_PIXELS = 2**26
"""A picture of a word has thousands of pixels, a photo millions; more is a mistake or an attack."""

EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141
"""As shells report a program that SIGINT or SIGPIPE has ended."""

ENGINES = ("onnxruntime", "openvino", "openvino-bf16")

Picture = str | os.PathLike | bytes | np.ndarray | Image.Image
"""A file; the contents of one; an array in BGR (or BGRA) order, as OpenCV has it, or grey, uint8 or
uint16; or a picture of Pillow's."""

Run = Callable[[np.ndarray], Sequence[np.ndarray]]


class ModelError(ValueError):
    """The ONNX file cannot be used; the message says why."""


class PictureError(ValueError):
    """A picture cannot be read; the message says why."""


@dataclass(frozen=True)
class Reading:
    """What was read in a picture of a word.

    Attributes:
        source: Path of the file; for anything else, its position among the pictures, from 0.
        text: The text; None where the picture could not be read.
        confidence: Probability of the whole word: the product of the probabilities of all its
            characters and of its end.
        scores: Probability of each character of the text; none for an empty text.
        attention: Attention maps of all stages, float32 array (S, T, h, w); map k + 1 belongs to
            character k. None if the file has no such output.
        error: Why the picture could not be read; None where it could.
    """

    source: str | int
    text: str | None = None
    confidence: float = 0.0
    scores: tuple[float, ...] = ()
    attention: np.ndarray | None = None
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, without the attention; six significant digits."""
        return dict(
            path=self.source,
            text=self.text,
            confidence=float(f"{self.confidence:.6g}"),
            scores=[float(f"{score:.6g}") for score in self.scores],
            error=self.error,
        )


class Reader:
    """Reads pictures of words with a model that is loaded once.

    Args:
        model: The ONNX file.
        engine: ``onnxruntime``, ``openvino``, or ``openvino-bf16``, which computes in bfloat16
            where the processor has it.
        threads: Threads for one batch; by default what the engine takes for the machine.
        providers: Execution providers of onnxruntime, such as ``["CUDAExecutionProvider"]``.
        batch_size: Number of pictures that are read at once. On a CPU more than one does not pay.
            An ``int8`` file rounds the numbers of a batch by its largest one, so that what it
            makes of a picture depends, a little, on what is read with it.

    Attributes:
        metadata: What the file says of itself, as a dictionary.
        run: The network alone: takes images of :meth:`prepare`, shape (N, 3, H, W), and returns
            logits (N, T, C) and, where the file has them, attention maps (N, S, T, h, w).

    Raises:
        FileNotFoundError: If there is no such file.
        ModelError: If it is no LPV, or one for a later version of this module.
        ImportError: If the engine is not installed.
        ValueError: If the engine is unknown, or a number is below 1.
    """

    def __init__(
        self,
        model: str | os.PathLike,
        *,
        engine: str = "onnxruntime",
        threads: int | None = None,
        providers: Sequence[str] | None = None,
        batch_size: int = 1,
    ) -> None:
        path = Path(model).expanduser()
        if not path.is_file():
            raise FileNotFoundError(f"there is no model file {path}")
        if engine not in ENGINES:
            raise ValueError(f"engine must be one of {', '.join(ENGINES)}, got {engine!r}")
        if batch_size < 1 or (threads is not None and threads < 1):
            raise ValueError("batch_size and threads must be at least 1")
        if providers is not None and engine != "onnxruntime":
            raise ValueError("providers belong to the engine onnxruntime")
        self.batch_size = batch_size
        if engine == "onnxruntime":
            self.run, text = _start_onnxruntime(path, threads, providers)
        else:
            self.run, text = _start_openvino(path, threads, engine.endswith("bf16"))
        self.metadata = _parse_metadata(text, path)
        self._preprocessing: dict[str, Any] = self.metadata["preprocessing"]

    def __call__(self, pictures: Picture | Iterable[Picture]) -> list[Reading]:
        """Read pictures.

        Args:
            pictures: A picture or several.

        Returns:
            One reading per picture, in their order. Those of pictures that cannot be read have an
            ``error`` and no text.

        Raises:
            TypeError: If something is no picture of any kind.
        """
        return list(self.iterate(pictures))

    def iterate(self, pictures: Picture | Iterable[Picture]) -> Iterator[Reading]:
        """Read pictures and hand out each batch as it is done, so that any number can be read.

        Args:
            pictures: A picture or several.

        Yields:
            What calling the reader returns.

        Raises:
            TypeError: If something is no picture of any kind.
        """
        if isinstance(pictures, Picture):
            pictures = [pictures]
        numbered = enumerate(pictures)
        while batch := list(itertools.islice(numbered, self.batch_size)):
            yield from self._read_batch(batch)

    def _read_batch(self, batch: list[tuple[int, Picture]]) -> list[Reading]:
        images, readings = {}, {}
        for number, picture in batch:
            is_path = isinstance(picture, str | os.PathLike)
            source = os.fspath(picture) if is_path else number
            try:
                images[source, number] = self.prepare(picture)
            except PictureError as error:
                readings[number] = Reading(source, error=str(error))
        if images:
            logits, *attention = self.run(np.stack(list(images.values())))
            maps = attention[0] if attention else [None] * len(images)
            for (source, number), word, looked in zip(images, logits, maps, strict=True):
                readings[number] = Reading(source, *self._decode(word), looked)
        return [readings[number] for number, _ in batch]

    def prepare(self, picture: Picture) -> np.ndarray:
        """Make an image for the network out of a picture, as the training did.

        Args:
            picture: The picture.

        Returns:
            Array (3, H, W), float32, normalised.

        Raises:
            PictureError: If it cannot be read.
            TypeError: If it is no picture of any kind.
        """
        settings = self._preprocessing
        pixels = np.asarray(_resize(load_picture(picture), settings))
        if settings["channels"] == "bgr":
            pixels = pixels[..., ::-1]
        mean, std = (np.asarray(settings[name], np.float32) for name in ("mean", "std"))
        return ((pixels.astype(np.float32) - mean) / std).transpose(2, 0, 1)

    def _decode(self, logits: np.ndarray) -> tuple[str, float, tuple[float, ...]]:
        """Text, confidence and scores from logits (T, C), as ``CPAPostprocessor`` makes them.

        But an empty text has no scores, where MMOCR needs that of the end.
        """
        shifted = np.exp(logits - logits.max(-1, keepdims=True))
        probabilities = shifted / shifted.sum(-1, keepdims=True)
        # Position 0 belongs to the start class.
        indexes = probabilities.argmax(-1)[1:].tolist()
        scores = probabilities.max(-1)[1:].tolist()
        start, end = self.metadata["start"], self.metadata["end"]
        if end in indexes:
            read = indexes.index(end) + 1
            indexes, scores = indexes[:read], scores[:read]
        printed = [
            (self.metadata["classes"][index], score)
            for index, score in zip(indexes, scores, strict=True)
            if index not in (start, end)
        ]
        text = "".join(character for character, _ in printed)
        return text, math.prod(scores), tuple(score for _, score in printed)


def load_picture(picture: Picture) -> Image.Image:
    """Bring a picture of any usual kind into RGB with 8 bits.

    The EXIF orientation is followed, grey becomes colour, an alpha channel is dropped (not
    blended), and 16-bit values keep their upper 8 bits.

    Args:
        picture: The picture.

    Raises:
        PictureError: If there is no such file, or it is no picture, a damaged or too large one.
        TypeError: If it is no picture of any kind.
    """
    if isinstance(picture, np.ndarray):
        return _from_array(picture)
    if isinstance(picture, Image.Image):
        return _load_image(lambda: picture)
    if not isinstance(picture, Picture):
        raise TypeError(
            "a picture is a path, bytes, a NumPy array or a Pillow image, got "
            f"{type(picture).__name__}"
        )
    try:
        encoded = picture if isinstance(picture, bytes) else Path(picture).read_bytes()
    except IsADirectoryError as error:
        raise PictureError(
            f"it is a folder; give the files in it, such as {os.path.join(picture, '*.png')}"
        ) from error
    except OSError as error:
        raise PictureError(error.strerror or str(error)) from error
    except ValueError as error:  # such as a null character in the path
        raise PictureError(str(error)) from error
    if not encoded:
        raise PictureError("the file is empty")
    return _load_image(lambda: Image.open(io.BytesIO(encoded)))


def _load_image(open_image: Callable[[], Image.Image]) -> Image.Image:
    """Decode what Pillow opens; it does so only now for a picture of its own, too."""
    too_many = f"it has too many pixels; {MAX_PIXELS / 1e6:.0f} million are allowed"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Pillow has to say of odd files
            image = open_image()
            if 0 in image.size:
                raise PictureError("it has no pixels")
            if image.width * image.height > MAX_PIXELS:
                raise PictureError(f"{too_many} ({image.width} x {image.height})")
            return _to_rgb(image)
    except Image.DecompressionBombError as error:
        raise PictureError(too_many) from error
    except PictureError:
        raise
    except UnidentifiedImageError as error:  # its message names an object, not the file
        raise PictureError("it is no picture, or a damaged one") from error
    except Exception as error:  # a damaged file can make a decoder fail in any way
        raise PictureError(f"it is no picture, or a damaged one ({error})") from error


def _to_rgb(image: Image.Image) -> Image.Image:
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 0xFFFF:
            raise PictureError("its values have more than 16 bits")
        image = Image.fromarray((values >> 8).astype(np.uint8))
    if image.mode == "F":
        raise PictureError("its values are floating-point numbers, which could mean several ranges")
    return image.convert("RGB")


def _from_array(array: np.ndarray) -> Image.Image:
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in (2, 3) or channels not in (1, 3, 4) or array.size == 0:
        raise PictureError(
            f"an array of shape {array.shape} is no picture; it must be (height, width) or "
            "(height, width, 1, 3 or 4 channels)"
        )
    if array.dtype == np.uint16:
        array = (array >> 8).astype(np.uint8)
    if array.dtype != np.uint8:
        raise PictureError(
            f"a picture of type {array.dtype} could mean several ranges; scale it to 0-255 and "
            "pass it as uint8 (or as uint16, 0-65535)"
        )
    if channels == 1:
        return Image.fromarray(array.reshape(array.shape[:2])).convert("RGB")
    return Image.fromarray(np.ascontiguousarray(array[..., 2::-1]))


def _resize(image: Image.Image, settings: dict[str, Any]) -> Image.Image:
    """Resize as the pipeline of the training does."""
    height, width = settings["height"], settings["width"]
    resample = Image.Resampling[settings["interpolation"].upper()]
    ratio = settings["keep_ratio"]
    if ratio is None:
        return image.resize((width, height), resample)
    # As MMOCR's RescaleToHeight computes it, rounding included.
    natural = math.ceil(float(height) / image.height * image.width)
    natural = min(ratio["max_width"], max(ratio["min_width"], natural))
    if natural % ratio["divisor"]:
        natural = round(natural / ratio["divisor"]) * ratio["divisor"]
    padded = Image.new("RGB", (width, height), (ratio["fill"],) * 3)
    padded.paste(image.resize((natural, height), resample))
    return padded


def _parse_metadata(text: str | None, path: Path) -> dict[str, Any]:
    if text is None:
        raise ModelError(
            f"{path} says nothing of how to read with it; make it with "
            "tools/deployment/export_onnx.py"
        )
    damaged = f"{path} has damaged metadata; make it again with tools/deployment/export_onnx.py"
    try:
        metadata = json.loads(text)
    except ValueError as error:
        raise ModelError(f"{damaged} (entry {METADATA_KEY} is no JSON: {error})") from error
    if not isinstance(metadata, dict) or not isinstance(metadata.get("format"), int):
        raise ModelError(f"{damaged} (entry {METADATA_KEY} has no number of its format)")
    if metadata["format"] > FORMAT:
        maker = metadata.get("lpv_mmocr", "of an unknown version")
        raise ModelError(f"{path} was made by lpv-mmocr {maker}, for a later version of lpv_onnx")
    missing = _missing(metadata, REQUIRED) or [
        f"preprocessing.{name}"
        for name in _missing(metadata["preprocessing"], REQUIRED_OF_PREPROCESSING)
    ]
    if missing:
        raise ModelError(f"{damaged} (there is no {', '.join(missing)})")
    return metadata


def _missing(entries: Any, names: Sequence[str]) -> list[str]:
    return [name for name in names if not isinstance(entries, dict) or name not in entries]


def _start_onnxruntime(
    path: Path, threads: int | None, providers: Sequence[str] | None
) -> tuple[Run, str | None]:
    try:
        import onnxruntime
    except ImportError as error:
        raise ImportError("reading needs onnxruntime: pip install onnxruntime") from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        session = onnxruntime.InferenceSession(
            str(path), options, providers=list(providers or ["CPUExecutionProvider"])
        )
    except ValueError:  # of the providers; the message names those that there are
        raise
    except Exception as error:  # onnxruntime's errors have no common base
        raise ModelError(
            f"{path} is no ONNX file that can be read ({_first_line(error)})"
        ) from error
    metadata = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    return lambda images: session.run(None, {"images": images}), metadata


def _start_openvino(path: Path, threads: int | None, bf16: bool) -> tuple[Run, str | None]:
    try:
        import openvino
    except ImportError as error:
        raise ImportError("the engine openvino needs it: pip install openvino") from error
    options: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
    }
    if threads is not None:
        options["INFERENCE_NUM_THREADS"] = threads
    try:
        model = openvino.Core().read_model(path)
    except RuntimeError as error:
        raise ModelError(
            f"{path} is no ONNX file that can be read ({_first_line(error)})"
        ) from error
    key = ["framework", METADATA_KEY]
    metadata = model.get_rt_info(key).astype(str) if model.has_rt_info(key) else None
    request = openvino.compile_model(model, "CPU", options).create_infer_request()

    def run(images: np.ndarray) -> list[np.ndarray]:
        outputs = request.infer({"images": images})
        return [outputs[port] for port in outputs]

    return run, metadata


def printable(text: str) -> str:
    """Put text on one line, whatever it holds: a file's name may steer a terminal.

    Args:
        text: Such as a file's name.

    Returns:
        The text, with Python's escapes for what cannot be printed.
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m lpv_onnx",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("model", metavar="MODEL.onnx", help="file of tools/deployment/export_onnx.py")
    add("pictures", nargs="+", metavar="PICTURE", help="files with one word each")
    add("--json", action="store_true", help="print JSON lines, with all scores")
    add("--engine", choices=ENGINES, default=ENGINES[0], help="default: onnxruntime")
    add("--threads", type=int, metavar="N", help="default: what the engine takes")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: Arguments without the program's name; those of the process by default.

    Returns:
        The exit status.
    """
    args = parse_args(argv)
    try:
        reader = Reader(args.model, engine=args.engine, threads=args.threads)
    except (OSError, ValueError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if hasattr(sys.stdout, "reconfigure"):  # names of files need not be valid in any encoding
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        unreadable = _print_readings(reader, args.pictures, as_json=args.json)
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes standard output once more at its end, which must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return 1 if unreadable else 0


def _print_readings(reader: Reader, pictures: Sequence[str], *, as_json: bool) -> int:
    """Print what is read; returns how many pictures could not be."""
    unreadable = 0
    for reading in reader.iterate(pictures):
        if reading.error is not None:
            unreadable += 1
            line = f"{reading.source} cannot be read: {reading.error}"
            print(printable(line), file=sys.stderr)
        if as_json:
            print(json.dumps(reading.to_dict(), ensure_ascii=False))
        elif reading.error is None:
            print(f"{printable(str(reading.source))}\t{reading.text}\t{reading.confidence:.4f}")
    return unreadable


if __name__ == "__main__":
    sys.exit(main())
