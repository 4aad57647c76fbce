"""What Python's garbage collector leaves alone, so that commands take less time.

PyTorch and MMOCR bring hundreds of thousands of objects that live as long as the process. While
they are imported, the collector looks at all of them again and again, afterwards too, and at the
end several times more (docs/performance.md has the seconds).
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
def set_up_for_command() -> None:
    """Spare what is imported, now and at the end; calling it again changes nothing.

    What there is by now counts as alive for good and is not looked at again: a command's own
    objects are a few ten thousand, the imported ones half a million. And the process ends without
    collecting.

    For commands, which close their files themselves. It is not for a library to decide: garbage in
    reference cycles that there is by now stays, and objects in cycles are not finalised at the end,
    such as a file that its owner has not closed.
    """
    gc.freeze()
    atexit.register(gc.freeze)
