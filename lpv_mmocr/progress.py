"""Progress bar on terminals, and occasional lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LINE_EVERY_SECONDS = 15.0


@contextmanager
def progress_bar(total: int, title: str, *, enabled: bool = True) -> Iterator[Callable[..., None]]:
    """Show the progress of a job on standard error.

    Args:
        total: Number of steps.
        title: Description of the job.
        enabled: Whether to show anything.

    Yields:
        A function to call with the number of steps just finished. With ``earlier=True``, these are
        steps that an interrupted job had finished before, which do not count for the speed.
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
