"""Statistics of an LMDB: labels, images, and samples that cannot be used."""

from __future__ import annotations

import os
import random
import unicodedata
from array import array
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .image_header import read_header
from .label_filter import LabelFilter
from .lmdb_environment import (
    DATA_FILE,
    KeyReader,
    LMDBDataError,
    count_samples,
    image_key,
)
from .transforms.loading import decode_image
from .uncounted_samples import uncounted_samples

PERCENTILES = (0, 5, 25, 50, 75, 95, 100)
MAX_LISTED = 10_000
"""Maximum number of bad samples listed by name; further ones are only counted."""

_STEP = 100  # samples between two progress reports


@dataclass
class LMDBStatistics:
    """Statistics of one LMDB, or of several together.

    Attributes:
        name: Folder of the LMDB.
        samples: Number of samples according to ``num-samples``.
        file_bytes: Size of ``data.mdb`` in bytes.
        examined: Number of images examined: all, or a random subset.
        decoded: Whether these were decoded; otherwise only their headers were read.
        image_bytes: Total size of the examined images in bytes.
        formats: Number of images by format, such as ``JPEG``.
        widths: Image widths in pixels.
        heights: Image heights in pixels, in the same order.
        lengths: Number of labels by length in characters.
        characters: Number of occurrences of each character in labels.
        passing: Number of labels that pass the released filter, i.e. of words that training uses.
        shortened: Number of labels that pass but lose characters outside the 36.
        emptied: Number of labels that pass and are empty afterwards.
        edge_blanks: Number of labels that begin or end with white space.
        decomposed: Number of labels that store accents apart from their letters, so that neither
            the dictionary nor a comparison knows these letters.
        bad: Name and reason of the first ``MAX_LISTED`` samples that cannot be used.
        bad_count: Number of samples that cannot be used.
    """

    name: str
    samples: int = 0
    file_bytes: int = 0
    examined: int = 0
    decoded: bool = True
    image_bytes: int = 0
    formats: Counter[str] = field(default_factory=Counter)
    widths: array = field(default_factory=lambda: array("i"))
    heights: array = field(default_factory=lambda: array("i"))
    lengths: Counter[int] = field(default_factory=Counter)
    characters: Counter[str] = field(default_factory=Counter)
    passing: int = 0
    shortened: int = 0
    emptied: int = 0
    edge_blanks: int = 0
    decomposed: int = 0
    bad: list[tuple[str, str]] = field(default_factory=list)
    bad_count: int = 0

    def add_bad(self, key: str, reason: str) -> None:
        """Count a bad sample, and list its name unless the list is full."""
        self.bad_count += 1
        if len(self.bad) < MAX_LISTED:
            self.bad.append((f"{self.name}:{key}", reason))

    def percentiles(self) -> dict[str, list[float]]:
        """Return percentiles of width, height and aspect ratio (width over height).

        Returns:
            For each measure, one value per entry of ``PERCENTILES``; empty if no image was
            readable.
        """
        if not self.widths:
            return {}
        width, height = np.array(self.widths), np.array(self.heights)
        measures = dict(width=width, height=height, aspect_ratio=width / height)
        return {
            name: np.percentile(values, PERCENTILES).round(2).tolist()
            for name, values in measures.items()
        }

    def as_dict(self) -> dict:
        """Return all statistics as plain values for JSON."""
        return dict(
            name=self.name,
            samples=self.samples,
            file_bytes=self.file_bytes,
            labels=dict(
                lengths={str(length): count for length, count in sorted(self.lengths.items())},
                characters=dict(self.characters.most_common()),
                pass_released_filter=self.passing,
                of_these_shortened=self.shortened,
                of_these_emptied=self.emptied,
                with_edge_blanks=self.edge_blanks,
                decomposed=self.decomposed,
            ),
            images=dict(
                examined=self.examined,
                decoded=self.decoded,
                bytes=self.image_bytes,
                formats=dict(self.formats.most_common()),
                percentiles=dict(at=list(PERCENTILES), **self.percentiles()),
            ),
            bad=dict(
                count=self.bad_count,
                samples=[dict(key=key, reason=reason) for key, reason in self.bad],
            ),
        )


def gather_statistics(
    path: str | os.PathLike,
    *,
    decode: bool = True,
    sample: int | None = None,
    seed: int = 0,
    on_progress: Callable[[int], None] = lambda steps: None,
) -> LMDBStatistics:
    """Examine all labels, and all or some of the images, of an LMDB.

    Args:
        path: Folder of the LMDB.
        decode: Whether to decode the images; otherwise only their headers are read, and damage
            after the header goes unnoticed.
        sample: Number of images to examine, chosen at random; all when ``None``.
        seed: Seed of this choice.
        on_progress: Callback that receives the number of samples finished since its last call.

    Raises:
        FileNotFoundError: If there is no LMDB.
        LMDBDataError: If the LMDB cannot be opened, or is not a word dataset.
        ValueError: If ``sample`` is not positive.
    """
    if sample is not None and sample < 1:
        raise ValueError(f"a sample needs at least one image, not {sample}")
    path = str(path)
    found = LMDBStatistics(name=path, samples=count_samples(path), decoded=decode)
    found.file_bytes = Path(path, DATA_FILE).stat().st_size
    chosen = None
    if sample is not None and sample < found.samples:
        chosen = set(random.Random(seed).sample(range(1, found.samples + 1), sample))
    for key in uncounted_samples(path, found.samples):
        found.add_bad(key, f"it exists, but num-samples is {found.samples}, so it is not read")
    label_filter = LabelFilter()
    with KeyReader(path) as reader:
        for number in range(1, found.samples + 1):
            faults = [_add_label(found, reader, number, label_filter)]
            if chosen is None or number in chosen:
                faults.append(_add_image(found, reader, number))
            if any(faults):
                found.add_bad(image_key(number).decode(), "; ".join(filter(None, faults)))
            if number % _STEP == 0:
                on_progress(_STEP)
    if found.samples % _STEP:
        on_progress(found.samples % _STEP)
    return found


def _add_label(
    found: LMDBStatistics, reader: KeyReader, number: int, label_filter: LabelFilter
) -> str | None:
    """Count a label and return what is wrong with it, if anything."""
    try:
        label = reader.label(number)
    except LMDBDataError as error:
        return str(error)
    found.lengths[len(label)] += 1
    found.characters.update(label)
    found.edge_blanks += label != label.strip()
    found.decomposed += not unicodedata.is_normalized("NFC", label)
    text = label_filter(label)
    if text is not None:
        found.passing += 1
        found.shortened += len(text) < len(label)
        found.emptied += not text
    return None


def _add_image(found: LMDBStatistics, reader: KeyReader, number: int) -> str | None:
    """Measure an image and return what is wrong with it, if anything."""
    found.examined += 1
    try:
        image = reader.image(number)
    except LMDBDataError as error:
        return str(error)
    found.image_bytes += len(image)
    header = read_header(image)
    if found.decoded:
        try:
            height, width = decode_image(image).shape[:2]
        except ValueError as error:
            return str(error)
    elif header is None:
        return "its image is empty" if not image else "its image has no readable header"
    else:
        width, height = header.width, header.height
    found.formats["unknown" if header is None else header.format] += 1
    found.widths.append(width)
    found.heights.append(height)
    return None


def total_of(parts: Iterable[LMDBStatistics], name: str = "total") -> LMDBStatistics:
    """Combine the statistics of several LMDBs.

    Args:
        parts: Statistics of each LMDB.
        name: Name of the total.
    """
    total = LMDBStatistics(name=name)
    for part in parts:
        total.samples += part.samples
        total.file_bytes += part.file_bytes
        total.examined += part.examined
        total.decoded &= part.decoded
        total.image_bytes += part.image_bytes
        total.formats += part.formats
        total.widths.extend(part.widths)
        total.heights.extend(part.heights)
        total.lengths += part.lengths
        total.characters += part.characters
        total.passing += part.passing
        total.shortened += part.shortened
        total.emptied += part.emptied
        total.edge_blanks += part.edge_blanks
        total.decomposed += part.decomposed
        total.bad += part.bad[: MAX_LISTED - len(total.bad)]
        total.bad_count += part.bad_count
    return total
