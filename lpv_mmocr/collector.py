"""What Python's garbage collector leaves alone, so that starting and ending take less time.

PyTorch and MMOCR bring hundreds of thousands of objects that live as long as the process. While
they are imported, the collector looks at all of them again and again, and at the end several times
more (docs/performance.md has the seconds).
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def paused() -> Iterator[None]:
    """Context in which nothing is collected; afterwards it goes on if it did before."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@functools.cache
def skip_at_exit() -> None:
    """Let this process end without collecting; calling it again changes nothing.

    For commands, which close their files themselves. It is not for a library to decide: objects in
    reference cycles are not finalised then, such as a file that its owner has not closed.
    """
    atexit.register(gc.freeze)
