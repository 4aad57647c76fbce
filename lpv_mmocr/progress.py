"""A progress bar on terminals, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LINE_EVERY_SECONDS = 15.0


@contextmanager
def progress_bar(
    total: int, title: str, *, enabled: bool = True
) -> Iterator[Callable[[int], None]]:
    """Shows how far a job is, on standard error.

    Args:
        total: Number of steps.
        title: What is being done.
        enabled: Show nothing when false.

    Yields:
        A function to call with the number of steps just finished; with ``earlier=True`` with those
        that an interrupted job had finished before, so that they do not count for the speed.
    """
    if not enabled:
        yield lambda steps, *, earlier=False: None
        return
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

        columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task(title, total=total)

            def move(steps: int, *, earlier: bool = False) -> None:
                if earlier:
                    bar.reset(task, completed=steps)
                else:
                    bar.advance(task, steps)

            yield move
        return
    start = last = time.monotonic()
    finished = before = 0

    def advance(steps: int, *, earlier: bool = False) -> None:
        nonlocal finished, before, last
        finished += steps
        before += steps * earlier
        now = time.monotonic()
        if now - last >= LINE_EVERY_SECONDS or finished >= total:
            last = now
            rate = (finished - before) / max(now - start, 1e-6)
            print(f"{title}: {finished}/{total}, {rate:.0f}/s", file=sys.stderr, flush=True)

    yield advance
