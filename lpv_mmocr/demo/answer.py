"""Answers that the page shows for a picture."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..reading import Reading, WordReader
from ..reading.pictures import PictureError, load_picture
from ..visualization import draw_attention

EXAMPLES = Path(__file__).parent / "examples"
"""Folder of example words, made by the project's own renderer."""

MAX_PIXELS = 25_000_000
"""Maximum number of pixels of a picture, about twice a usual phone photo; 75 MB when decoded."""


@dataclass(frozen=True)
class Answer:
    """Answer for one picture, as the page shows it.

    Attributes:
        text: Text that was read.
        confidence: Probability of the entire word, as a percentage; empty if no picture was read.
        characters: Number, character and probability of each character.
        attention: Figure of the model's attention, RGB uint8 (H, W, 3).
        message: Note for the user, such as why the picture cannot be read, or that it was read in
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
    """Read a picture for the page.

    Args:
        reader: Reader of the picture; must keep the attention.
        path: File of the picture; None if there is none.

    Returns:
        The answer. If the picture cannot be read, only its message is set.
    """
    if path is None:
        return Answer()
    try:
        picture = load_picture(path, max_pixels=MAX_PIXELS)
    except PictureError as error:
        return unreadable(error)
    (reading,) = reader.read(picture)
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
        draw_attention(reading.picture[..., ::-1], reading.attention),
        _message(reading, picture),
    )


def _message(reading: Reading, given: np.ndarray) -> str:
    if not reading.text:
        return "The model reads no character in this picture."
    # A model that pads saw black to the right of the picture.
    if not np.array_equal(reading.picture[:, : given.shape[1]], given):
        return "It was read most confidently when rotated, sheared or cropped, as drawn below."
    return ""
