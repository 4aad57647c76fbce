"""Progress bar of a run whose length may be unknown, below the printed results."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def reading_progress(
    total: Callable[[], int | None],
) -> Iterator[tuple[Callable[[], None], TextIO]]:
    """Show a progress bar on standard error, if that is a terminal.

    Lines printed on standard error in the meantime appear above the bar.

    Args:
        total: Callback that returns the number of images, or None if they cannot be counted.
            Called only if the bar is shown.

    Yields:
        A function to call after each image, and the stream for results: standard output, or a
        wrapper that prints them above the bar if both are the terminal.
    """
    if not sys.stderr.isatty():
        yield (lambda: None), sys.stdout
        return
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("reading"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        redirect_stdout=False,
        transient=True,
    )
    results = _Terminal(console) if sys.stdout.isatty() else sys.stdout
    with bar:
        task = bar.add_task("reading", total=total())
        yield (lambda: bar.advance(task)), results


class _Terminal(io.TextIOBase):
    """Stream that writes complete lines above a console's live display, without wrapping them."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @property
    def encoding(self) -> str:
        return self._console.encoding

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self._console.out(text, end="", highlight=False)
        return len(text)
