"""Answers that the page shows for an image."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..reading import Reading, WordReader
from ..reading.image_loading import ImageError, load_image
from ..visualization import draw_attention

EXAMPLES = Path(__file__).parent / "examples"
"""Folder of example words, made by the project's own renderer."""

MAX_PIXELS = 25_000_000
"""Maximum number of pixels of an image, about twice a usual phone photo; 75 MB when decoded."""


@dataclass(frozen=True)
class Answer:
    """Answer for one image, as the page shows it.

    Attributes:
        text: Text that was read.
        confidence: Probability of the entire word, as a percentage; empty if no image was read.
        characters: Number, character and probability of each character.
        attention: Figure of the model's attention, RGB uint8 (H, W, 3).
        message: Note for the user, such as why the image cannot be read, or that it was read in
            a different form than given.
    """

    text: str = ""
    confidence: str = ""
    characters: list[list[str]] = field(default_factory=list)
    attention: np.ndarray | None = None
    message: str = ""


def unreadable(reason: Exception) -> Answer:
    """Return the answer for a file that cannot be read."""
    return Answer(message=f"This file cannot be read: {reason}.")


def answer(reader: WordReader, path: str | Path | None) -> Answer:
    """Read an image for the page.

    Args:
        reader: Reader of the image; must keep the attention.
        path: File of the image; None if there is none.

    Returns:
        The answer. If the image cannot be read, only its message is set.
    """
    if path is None:
        return Answer()
    try:
        image = load_image(path, max_pixels=MAX_PIXELS)
    except ImageError as error:
        return unreadable(error)
    (reading,) = reader.read(image)
    # Stage texts have one character per score; `reading.text` has more if it holds a class of
    # several characters, such as <UKN>.
    characters = [
        [str(number), character, f"{score:.1%}"]
        for number, (character, score) in enumerate(
            zip(reading.attention.stage_texts[-1], reading.scores, strict=True), start=1
        )
    ]
    return Answer(
        reading.text,
        f"{reading.confidence:.1%}",
        characters,
        draw_attention(reading.image[..., ::-1], reading.attention),
        _message(reading, image),
    )


def _message(reading: Reading, given: np.ndarray) -> str:
    if not reading.text:
        return "The model reads no character in this image."
    # A model that pads saw black to the right of the image.
    if not np.array_equal(reading.image[:, : given.shape[1]], given):
        return "It was read most confidently when rotated, sheared or cropped, as drawn below."
    return ""
