"""A progress bar on terminals, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LINE_EVERY_SECONDS = 15.0


@contextmanager
def progress_bar(
    total: int, title: str, *, enabled: bool = True, done: int = 0
) -> Iterator[Callable[[int], None]]:
    """Shows how far a job is, on standard error.

    Args:
        total: Number of steps.
        title: What is being done.
        enabled: Show nothing when false.
        done: Steps finished before (a continued job).

    Yields:
        A function to call with the number of steps just finished.
    """
    if not enabled:
        yield lambda steps: None
        return
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

        columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task(title, total=total, completed=done)
            yield lambda steps: bar.advance(task, steps)
        return
    start = last = time.monotonic()
    finished = done

    def advance(steps: int) -> None:
        nonlocal finished, last
        finished += steps
        now = time.monotonic()
        if now - last >= LINE_EVERY_SECONDS or finished >= total:
            last = now
            rate = (finished - done) / max(now - start, 1e-6)
            print(f"{title}: {finished}/{total}, {rate:.0f}/s", file=sys.stderr, flush=True)

    yield advance
