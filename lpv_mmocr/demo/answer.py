"""What the page says about a picture."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..reading import Reading, WordReader
from ..reading.pictures import PictureError, load_picture
from ..visualization import draw_attention

EXAMPLES = Path(__file__).parent / "examples"
"""Words made by the project's own renderer."""

MAX_PIXELS = 25_000_000
"""More than phones take; decoded it is 75 MB."""


@dataclass(frozen=True)
class Answer:
    """What the page shows for a picture.

    Attributes:
        text: What was read.
        confidence: Probability of the whole word, as a percentage; empty where nothing was read.
        characters: Number, character and probability of each character.
        attention: Picture of what the model looked at, RGB uint8 (H, W, 3).
        message: What the reader should know, such as why the picture cannot be read, or that it was
            read in another way than it was given.
    """

    text: str = ""
    confidence: str = ""
    characters: list[list[str]] = field(default_factory=list)
    attention: np.ndarray | None = None
    message: str = ""


def unreadable(reason: Exception) -> Answer:
    """What the page says where a file cannot be read."""
    return Answer(message=f"This file cannot be read: {reason}.")


def answer(reader: WordReader, path: str | Path | None) -> Answer:
    """Read a picture for the page.

    Args:
        reader: Must keep the attention.
        path: File of the picture; None where there is none.

    Returns:
        The answer. Where the picture cannot be read, only its message says something.
    """
    if path is None:
        return Answer()
    try:
        picture = load_picture(path, max_pixels=MAX_PIXELS)
    except PictureError as error:
        return unreadable(error)
    (reading,) = reader.read(picture)
    # One character for each score, which a text with a class of several, such as <UKN>, has not.
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
        draw_attention(reading.picture[..., ::-1], reading.attention),
        _message(reading, picture),
    )


def _message(reading: Reading, given: np.ndarray) -> str:
    if not reading.text:
        return "The model reads no character in this picture."
    # A model that pads was shown black behind the picture.
    if not np.array_equal(reading.picture[:, : given.shape[1]], given):
        return "It was read most surely turned, sheared or cut, as it is drawn below."
    return ""
