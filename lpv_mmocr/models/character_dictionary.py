"""Dictionary whose characters are stored in the config itself."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

from mmocr.models.common import Dictionary
from mmocr.registry import TASK_UTILS


@TASK_UTILS.register_module()
class CharacterDictionary(Dictionary):
    """MMOCR's dictionary, given as a string of characters instead of a file.

    A ``dict_file`` ends up as an absolute path in the config inside every checkpoint, which then
    cannot be used on another machine. A string is stored in the config itself.

    Classes are the characters in the given order, then start, then end, then any other special
    tokens requested.

    Args:
        characters: Characters to recognise, each once.
        with_start: Whether there is a start class, [GO] in the released code.
        with_end: Whether there is an end class, [s] in the released code.
        **kwargs: Further arguments of ``mmocr.models.common.Dictionary``, except ``dict_file``.

    Raises:
        ValueError: If there are no characters, or one occurs twice, or one is a line break.
    """

    def __init__(
        self, characters: str, *, with_start: bool = True, with_end: bool = True, **kwargs
    ) -> None:
        repeated = sorted(char for char, count in Counter(characters).items() if count > 1)
        if not characters or repeated or set(characters) & {"\n", "\r"}:
            raise ValueError(
                "characters must be a string of different characters without line breaks, got "
                f"{characters!r}" + (f" with {repeated} repeated" if repeated else "")
            )
        self.characters = characters
        with tempfile.TemporaryDirectory() as folder:
            dict_file = Path(folder, "characters.txt")
            dict_file.write_text("\n".join(characters), encoding="utf-8")
            super().__init__(str(dict_file), with_start=with_start, with_end=with_end, **kwargs)


def require_start_and_end(dictionary: Dictionary, owner: str) -> None:
    """Check that a dictionary has a start and an end class, and that they differ.

    Args:
        dictionary: Dictionary to check.
        owner: Name of the class that needs them, for the message.

    Raises:
        ValueError: If one is missing, or one class serves as both, as in most of MMOCR's configs:
            the loss ignores the start class, so no model could learn where words end.
    """
    if dictionary.start_idx is None or dictionary.end_idx is None:
        raise ValueError(f"{owner} needs a dictionary with_start=True and with_end=True")
    if dictionary.start_idx == dictionary.end_idx:
        raise ValueError(
            f"{owner} needs a start and an end class that differ: give the dictionary "
            "same_start_end=False"
        )


def silent_classes(dictionary: Dictionary) -> set[int]:
    """Return the classes that may be read between characters and print nothing.

    Args:
        dictionary: Dictionary with a start class, and perhaps a padding class.
    """
    return {dictionary.start_idx, dictionary.padding_idx} - {None}
